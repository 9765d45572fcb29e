"""The JSON schema of `parity_report.json`, made from the data model."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from prenorm.reports.model import Report
from prenorm.reports.text import Outcome

_DESCRIPTION = (
    "What prenorm's proof found when it held a converted folder against its checkpoint; of the kind 'fitness': how a folder "
    "works where it is used. Optional keys may be added within schema_version 1."
)
_OUTCOME = {
    "enum": [Outcome.PASSED.value, Outcome.FAILED.value, Outcome.NOT_RUN.value, Outcome.NOT_JUDGED.value],
    "description": (
        "Of the kind 'fitness', and of a part of the folder that was not judged (see 'counts'). What was not run has neither "
        "been judged nor passed."
    ),
}
_NOT_JUDGED = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Every check that was not made, and why, a sentence each; absent where all were made.",
}


def schema() -> dict[str, object]:
    """Make the schema.

    Returns:
        JSON schema, draft 2020-12, as plain data.
    """
    _, components = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    definitions = _as_written(components)
    report, check = definitions.pop("Report"), definitions["Check"]
    # In the file a check's metrics stand beside its other keys, and whether it was run shows in its outcome.
    properties = check["properties"]
    check["additionalProperties"] = properties.pop("metrics")["additionalProperties"]
    properties["outcome"] = _OUTCOME
    del properties["run"]
    check["required"] = ["name", "judged", "passed"]
    report["required"] = [key for key in report["properties"] if key in (*report["required"], "schema_version")]
    report["properties"]["checks"]["minItems"] = 1
    report["properties"]["not_judged"] = _NOT_JUDGED
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **report,
        "title": "parity_report.json",
        "description": _DESCRIPTION,
        "if": {"required": ["kind"]},
        "then": {"properties": {"checks": {"items": {"required": ["outcome", "detail"]}}}},
        "else": {
            "properties": {
                "source": {
                    "required": ["file", "bytes"],
                    "oneOf": [{"required": ["sha256"]}, {"required": ["announced_sha256", "seen"]}],
                },
                "checks": {"items": {"properties": {"outcome": {"const": Outcome.NOT_JUDGED.value}}}},
            }
        },
        "$defs": definitions,
    }


def _as_written(part: Any) -> Any:
    """Admit the spelled-out NaN and infinity, for which JSON has no number; join the lines of descriptions."""
    if isinstance(part, list):
        return [_as_written(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _as_written(item) for key, item in part.items()}
    if made.get("type") == "number":
        made["type"] = ["number", "string"]
    if isinstance(made.get("description"), str):
        made["description"] = " ".join(inspect.cleandoc(made["description"]).split())
    return made
