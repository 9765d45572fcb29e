"""Which files of a folder no check looks at.

A file counts for the verdict if it changes what a reader of the folder computes: weights that some readers prefer or find
first, code, the tokenizer's files, configurations of adapters and of sentence-transformers. Cards, plots, reports and
licences do not, nor does generation_config.json, which says how to choose tokens and not what is computed. What no reader
looks for by its name, and what lies in a subfolder, is listed and does not count, but for the subfolders in which optimum,
transformers.js and sentence-transformers look for exported weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from prenorm.files import (
    CONFIG_FILE,
    INDEX_FILE,
    REPORT_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    TOKENIZER_SOURCES,
    TOKENIZER_SUPPLEMENTS,
    json_object,
    pieces_of,
    sha256_of,
)
from prenorm.folder.published import Published
from prenorm.proof.checks.folder_tokenizer import FolderTokenizer
from prenorm.proof.checks.tokenizer_companions import COMPANIONS
from prenorm.reports.model import Check

_WEIGHTS = {
    ".bin",
    ".h5",
    ".msgpack",
    ".onnx",
    ".pt",
    ".pth",
    ".ckpt",
    ".ot",
    ".gguf",
    ".tflite",
    ".index",
    ".pdparams",
}
_CONFIGURATIONS = {
    "adapter_config.json", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json",
    "preprocessor_config.json", "processor_config.json",
}  # fmt: skip
_TOKENIZER = {TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, *TOKENIZER_SOURCES, *TOKENIZER_SUPPLEMENTS, *COMPANIONS}
_CODE_KEYS = ("auto_map", "custom_pipelines")
_EXPORTS = ("onnx/", "openvino/")
_MOST_NAMED = 20


def unjudged_parts(published: Published, tokenizer: FolderTokenizer) -> list[Check]:
    """Name everything in a folder that the proof does not look at.

    Args:
        published: the folder.
        tokenizer: what its tokenizer was judged by.

    Returns:
        The rows for the report.
    """
    judged = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, *COMPANIONS) if tokenizer.is_judged else ()
    return [*tokenizer.rows, *unjudged_files(published, judged)]


def unjudged_files(published: Published, tokenizer_files: Collection[str]) -> Iterator[Check]:
    """Name every file of a folder that no check looks at, by what it is.

    Args:
        published: the folder.
        tokenizer_files: which of the tokenizer's files were judged; if none was, a row of its own says so of all of them.

    Yields:
        Check: a row for code, one for other weights, and so on, if there are any.
    """
    folder = published.source
    left = set(_names(folder)) - {CONFIG_FILE, INDEX_FILE}
    top = {name for name in left if "/" not in name}
    left -= {name for name in top if name.endswith(".safetensors")}
    if published.path != folder:  # the pickled weights are those that were judged
        left -= {name for name in top if name.startswith("pytorch_model") and name.endswith(".bin")}
        left -= {name for name in top if name == "pytorch_model.bin.index.json"}
    tokenizer = {name for name in top if name in _TOKENIZER}
    left -= tokenizer
    code = {name for name in left if name.endswith(".py")}
    searched = top | {name for name in left if name.startswith(_EXPORTS)}
    weights = {
        name for name in searched & left if Path(name).suffix.lower() in _WEIGHTS or name.endswith(".index.json")
    }
    configurations = {name for name in top & left if name in _CONFIGURATIONS}
    code_named = _naming_code(published)
    if code or code_named:
        yield _row("code", [*sorted(code), *code_named], "nothing of it was run or read", counts=True)
    if weights:
        yield _row("other weights", weights, "the safetensors were judged, and some readers prefer these", counts=True)
    if configurations:
        yield _row("other configuration", configurations, "no check reads it", counts=True)
    if tokenizer_files and (rest := tokenizer.difference(tokenizer_files)):
        yield _row("other tokenizer files", rest, f"{TOKENIZER_FILE} was judged", counts=True)
    others = left - code - weights - configurations
    if others:
        changed = _changed(folder, others)
        why = "they change nothing that is computed from the files that were judged"
        if changed:
            why += f"; other than {REPORT_FILE} lists: {_listed(changed)}"
        yield _row("other files", others, why, counts=False)


def _names(folder: Path) -> Iterator[str]:
    """Yield the paths of all files within a folder, but for those in hidden folders such as .git and .cache."""
    for path in folder.rglob("*"):
        within = path.relative_to(folder)
        if not path.is_dir() and not any(part.startswith(".") for part in within.parts[:-1]):
            yield within.as_posix()


def _naming_code(published: Published) -> list[str]:
    """Return the keys of config.json and tokenizer_config.json that name code to be loaded."""
    keys = [f"{key} in {CONFIG_FILE}" for key in _CODE_KEYS if key in published.config]
    settings = json_object(published.source / TOKENIZER_CONFIG_FILE) or {}
    return keys + [f"{key} in {TOKENIZER_CONFIG_FILE}" for key in _CODE_KEYS if key in settings]


def _changed(folder: Path, names: Iterable[str]) -> list[str]:
    """Return which of the files are not those that the folder's own report lists."""
    target = (json_object(folder / REPORT_FILE) or {}).get("target")
    files = target.get("files") if isinstance(target, dict) else None
    listed = {item.get("name"): item.get("sha256") for item in files or () if isinstance(item, dict)}
    return [name for name in sorted(names) if name in listed and _digest(folder / name) != listed[name]]


def _digest(path: Path) -> str:
    """Return a file's SHA-256; nothing, if it cannot be read."""
    try:
        return sha256_of(pieces_of(path))
    except OSError:
        return ""


def _row(name: str, files: Iterable[str], why: str, *, counts: bool) -> Check:
    return Check.not_judged(name, f"{_listed(files)} ({why})", counts=counts)


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _MOST_NAMED} more" if len(ordered) > _MOST_NAMED else ""
    return ", ".join(ordered[:_MOST_NAMED]) + more
