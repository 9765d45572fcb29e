"""What lies in the folder: weights in the form that every reader accepts, no code, and numbers only."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from prenorm.files import CONFIG_FILE, INDEX_FILE, TOKENIZER_CONFIG_FILE, WEIGHTS_FILE, json_object
from prenorm.fitness.candidate import CODE_KEYS, Candidate
from prenorm.fitness.finding import Finding, refuse

_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
# Attention by these names is transformers' own; any other is a kernel that it would fetch and run.
_OWN_ATTENTION = {None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"}


def check_files(candidate: Candidate) -> Finding:
    """Check that the weights are safetensors, marked as PyTorch's, and whole. Their modes are only noted.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    weights = sorted(candidate.published.source.glob("*.safetensors"))
    problems = list(candidate.published.damage)
    if not weights:
        problems.append("the weights are pickled (pytorch_model.bin): whoever allows safetensors only cannot load them")
    problems += [*_unmarked(weights), *_shard_problems(candidate.published.source, weights)]
    refuse(problems)
    whole = f"{len(weights)} safetensors, {len(candidate.published.tensors)} tensors"
    return Finding("; ".join([whole, *_unreadable(candidate.published.source)]))


def _unmarked(weights: list[Path]) -> Iterator[str]:
    for path in weights:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != "pt":
                yield f"{path.name} has no metadata 'format: pt', without which some releases of transformers refuse it"


def _shard_problems(folder: Path, weights: list[Path]) -> Iterator[str]:
    index = json_object(folder / INDEX_FILE)
    if index is None:
        if weights and not (folder / WEIGHTS_FILE).exists():
            yield f"{weights[0].name}: transformers looks for {WEIGHTS_FILE} or {INDEX_FILE}, and there is neither"
        return
    listed = set(index.get("weight_map", {}).values())
    present = {path.name for path in weights}
    yield from (f"{INDEX_FILE} names {name}, which is not there" for name in sorted(listed - present))


def _unreadable(folder: Path) -> Iterator[str]:
    """Yield a note for each file that fewer people can read than config.json; some writers of safetensors leave 0600."""
    wanted = (folder / CONFIG_FILE).stat().st_mode & _READABLE
    for path in sorted(folder.iterdir()):
        mode = path.stat().st_mode
        if path.is_file() and mode & _READABLE & wanted != wanted:
            yield f"{path.name} has mode {mode & 0o777:04o}, so not everybody who can read {CONFIG_FILE} can read it"


def check_custom_code(candidate: Candidate) -> Finding:
    """Check that the folder needs no code of its own and names none.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    problems = [f"{path.name} is code" for path in sorted(candidate.published.source.glob("**/*.py"))]
    for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        problems += [f"{name}: {text}" for text in _named_code(json_object(candidate.published.source / name) or {})]
    modules = candidate.published.source / "modules.json"
    if modules.is_file() and "sentence_transformers." not in modules.read_text(encoding="utf-8", errors="replace"):
        problems.append("modules.json names classes that are not sentence-transformers' own")
    refuse(problems)
    return Finding("none needed, none named")


def _named_code(content: dict[str, Any]) -> Iterator[str]:
    for key in CODE_KEYS:
        value = content.get(key)
        if key in content and not (key.endswith("attn_implementation") and value in _OWN_ATTENTION):
            yield f"'{key}' names code to be loaded ({value!s:.80})"


def check_weights(candidate: Candidate) -> Finding:
    """Check that every value of every tensor is a number.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    problems = []
    values = 0
    for name in sorted(candidate.published.tensors):
        tensor = candidate.tensor(name)
        values += tensor.numel()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            problems.append(f"'{name}' holds {int((~torch.isfinite(tensor)).sum())} values that are NaN or infinite")
    refuse(problems)
    return Finding(f"{values:,} values, all finite")
