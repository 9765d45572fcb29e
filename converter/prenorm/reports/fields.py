"""The types of a report's fields, with what its JSON schema says of each.

Only the schema holds the constraints (`extra_json_schema`): a report from elsewhere that breaks them is still read and shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

SCHEMA_VERSION = 1

_Schema = dict[str, Any]
_SHA256: _Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_TEXT: _Schema = {"type": "string"}
# JSON has no NaN and no infinity; they are spelled out.
_NUMBER: _Schema = {"type": ["number", "string"], "pattern": "^(NaN|-?Infinity)$"}
_SIZE: _Schema = {"type": ["number", "string"], "minimum": 0, "pattern": "^(NaN|Infinity)$"}
_METRIC: _Schema = {"anyOf": [_NUMBER, {"type": ["string", "boolean", "null"]}]}


def _object(required: list[str], **properties: _Schema) -> _Schema:
    """Return the schema of an object."""
    return {"type": "object", "required": required, "properties": properties}


_HUB = {
    **_object(["repo_id", "path", "commit"], repo_id=_TEXT, path=_TEXT, commit={**_TEXT, "pattern": "^[0-9a-f]{40}$"}),
    "description": "Where it was downloaded from; the commit is what its revision stood for.",
}
_SEEN = {
    **_object(["bytes", "tensor_bytes", "tensor_sha256"], bytes=_COUNT, tensor_bytes=_COUNT, tensor_sha256=_SHA256),
    "description": (
        "How many of the file's bytes were read, all uses together; how many of these are the storages that the model's "
        "tensors lie in; and the SHA-256 of these storages' bytes, each storage once, in the order in which they lie in the "
        "file. Where the file is a zip archive they agree with its CRC-32 sums."
    ),
}
_FILE = _object(["name", "bytes", "sha256"], name=_TEXT, bytes=_COUNT, sha256=_SHA256)

Version = Annotated[int, Meta(extra_json_schema={"const": SCHEMA_VERSION})]
Kind = Annotated[
    Literal["fitness"] | None,
    Meta(description="The report of verify --folder-only. Absent from a proof of parity."),
]
Passed = Annotated[
    bool,
    Meta(
        description="Every check passed, and every one could be judged; of the kind 'fitness': every one that was run."
    ),
]
Verdict = Annotated[
    str,
    Meta(
        description=(
            "'not judged': all that could be compared agrees, and some values are NaN or infinite. "
            "'passed, ... not judged' names the parts of the folder that change what its readers compute and were not judged."
        ),
        extra_json_schema={"pattern": "^(passed|passed, .* not judged|failed|not judged)$"},
    ),
]
Reference = Annotated[
    str, Meta(description="What computed the checkpoint's side: 'builtin', or fairseq with its version.")
]
ComputeType = Annotated[str, Meta(examples=["float64"])]
Source = Annotated[
    dict[str, Any],
    Meta(
        description="The checkpoint; empty where there was none.",
        extra_json_schema={
            "properties": {
                "file": {**_TEXT, "description": "The checkpoint's name, without its folder."},
                "bytes": _COUNT,
                "sha256": {
                    **_SHA256,
                    "description": "Of the whole file, computed. Absent where a part of it was read from the Hub ('seen').",
                },
                "announced_sha256": {
                    **_SHA256,
                    "description": "What the Hub says that the whole file's SHA-256 is; nothing was compared with it.",
                },
                "seen": _SEEN,
                "hub": _HUB,
            }
        },
    ),
]
Target = Annotated[
    dict[str, Any],
    Meta(
        description="The folder. 'files' is absent where the proof failed: nothing was written.",
        extra_json_schema=_object(
            ["model_type", "architectures"],
            model_type=_TEXT,
            architectures={"type": "array", "items": _TEXT},
            files={"type": "array", "items": _FILE},
        ),
    ),
]
FirstDivergence = Annotated[str | None, Meta(description="The first module that is further apart than its tolerance.")]
Disagreements = Annotated[tuple[str, ...], Meta(description="All that disagrees, a sentence each.")]
DifferentTensors = Meta(
    description="The target tensors that hold other bits than the plan makes, in computing order; absent if there are none."
)
Runtimes = Annotated[
    tuple[str, ...], Meta(description="What ran the folder.", examples=[["bundled", "transformers 5.23.0"]])
]
Probe = Annotated[
    dict[str, Any] | None,
    Meta(extra_json_schema={"properties": {"rows": _COUNT, "tokens": _COUNT, "longest": _COUNT}}),
]
CostOfType = Annotated[
    dict[str, Any] | None,
    Meta(
        description="How far the numbers moved when the weights were rounded to another type than the checkpoint's.",
        extra_json_schema={"required": ["dtype"], "properties": {"dtype": _TEXT}, "additionalProperties": _NUMBER},
    ),
]
Examples = Meta(
    description="What the masked LM fills into a sentence, the best answers first; absent without a tokenizer. Not judged."
)
OtherActivation = Annotated[
    dict[str, Any] | None,
    Meta(
        description=(
            "Of a model trained with DeepSpeed's kernels: how far the logits of the folder, which computes 'activation', are "
            "on the probe from those with the 'other' form of GELU. Not judged."
        ),
        extra_json_schema={
            "required": ["activation", "other"],
            "properties": {"activation": _TEXT, "other": _TEXT},
            "additionalProperties": _NUMBER,
        },
    ),
]
Versions = Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": _TEXT})]
Metrics = Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": _METRIC})]
Size = Annotated[float, Meta(description="An absolute value.", extra_json_schema=_SIZE)]
Sizes = dict[str, Size]
Equal = Annotated[
    bool | None, Meta(description="Whether the written bits are those wanted; null where there is nothing to compare.")
]
