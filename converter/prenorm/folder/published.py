"""A published folder as it is: its config, its tensors, its tokenizer.

Weights may be safetensors or an old `pytorch_model.bin`. The latter is read by the reader that runs nothing, and written to a
scratch folder as safetensors, so that everything behind sees one form.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from prenorm.checkpoint import LazyTensor, open_file
from prenorm.checkpoint.dtypes import SAFETENSORS_TYPES
from prenorm.errors import UsageProblem
from prenorm.files import CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, or_nearest, readable
from prenorm.folder.files import write_weights
from prenorm.folder.staging import check_not_set_aside
from prenorm.options import CLASS_ENDINGS, TaskKind
from prenorm.rules.rows import COPY, Moved, Row

if TYPE_CHECKING:
    import torch

_PICKLES = "pytorch_model*.bin"
_MOST_CONFIG_BYTES = 16 << 20


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the folder: the file that holds it, its type (as torch names it) and its shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Published:
    """A model folder.

    Attributes:
        path: where its weights lie as safetensors, with config.json.
        source: the folder itself, which is `path` unless pickled weights had to be rewritten.
        name: what messages call it.
        config: the content of config.json.
        tensors: its tensors by name.
        notes: what a reader of the report should know about where it comes from.
        damage: what is wrong with its weight files, a sentence each.
    """

    path: Path
    source: Path
    name: str
    config: dict[str, object]
    tensors: dict[str, StoredTensor]
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = field(default=())

    @property
    def kind(self) -> TaskKind:
        """What the folder is for, by the class that `architectures` names.

        Raises:
            UsageProblem: if it names a class of another task, or none.
        """
        named = self.config.get("architectures")
        name = str(named[0]) if isinstance(named, list) and named else ""
        for kind, ending in CLASS_ENDINGS.items():
            if name.endswith(ending):
                return kind
        raise UsageProblem(
            f"config.json names the class {name or 'of no model'}, which is none of those that are verified",
            subject=self.name,
            advice="It must end in ForMaskedLM, ForSequenceClassification, ForMultipleChoice or Model",
        )


def open_published(folder: Path, scratch: Path) -> Published:
    """Open a model folder.

    Args:
        folder: the folder.
        scratch: an empty folder, for weights that have to be rewritten first.

    Returns:
        What it holds; no tensor is read yet.

    Raises:
        UsageProblem: if it is no model folder, or a killed run left it set aside.
        UnreadableCheckpoint: if its pickled weights are damaged or unsafe.
    """
    check_not_set_aside(folder)
    if not folder.is_dir():
        advice = or_nearest(folder, "Give a model folder, or a repo id such as org/name")
        raise UsageProblem("is no folder", subject=folder, advice=advice)
    config = _read_config(folder)
    path = folder
    notes: tuple[str, ...] = ()
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(folder.glob(_PICKLES))
        if not pickles:
            raise UsageProblem(
                "has no weights: neither *.safetensors nor pytorch_model.bin",
                subject=folder,
                advice="Give a model folder",
            )
        _rewrite(folder, pickles, scratch)
        path = scratch
        notes = (f"weights read from {', '.join(pickle.name for pickle in pickles)}; nothing in them was run",)
    tensors, damage = _tensors(path)
    return Published(path, folder, folder.name, config, tensors, notes, damage)


def stored_names(folder: Path) -> Iterator[tuple[str, Path]]:
    """List the tensors in a folder's safetensors files. A file that cannot be read has none; `Published.damage` names it.

    Args:
        folder: the folder.

    Yields:
        A tensor's name, and the file that holds it.
    """
    for path in sorted(folder.glob("*.safetensors")):
        held, _ = _read_header(path)
        yield from ((name, path) for name in held)


def read_stored(path: Path, name: str) -> torch.Tensor:
    """Read a tensor. The file is opened for it alone: its pages leave memory with it.

    Args:
        path: a safetensors file.
        name: the tensor's name there.

    Returns:
        The tensor, as stored.
    """
    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor


def _read_config(folder: Path) -> dict[str, object]:
    """Return the content of config.json."""
    path, advice = folder / CONFIG_FILE, "Give a model folder"
    if not os.path.lexists(path):  # whoever named the folder has not misspelt this file's name
        raise UsageProblem(f"is no model folder: it has no {CONFIG_FILE}", subject=folder, advice=advice)
    with readable(path, _MOST_CONFIG_BYTES, "a config", advice):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UsageProblem(f"is no JSON ({error})", subject=path, advice=advice) from error
    if not isinstance(content, dict):
        raise UsageProblem("holds no JSON object", subject=path, advice=advice)
    return content


def _tensors(folder: Path) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """Return the folder's tensors by name, and what is wrong with its files."""
    tensors: dict[str, StoredTensor] = {}
    damage: list[str] = []
    for path in sorted(folder.glob("*.safetensors")):
        held, problem = _read_header(path)
        damage += [problem] if problem else []
        damage += [
            f"tensor '{name}' is in {tensors[name].file.name} and in {path.name}" for name in held.keys() & tensors
        ]
        tensors |= held
    return tensors, tuple(damage)


def _read_header(path: Path) -> tuple[dict[str, StoredTensor], str]:
    """Return the tensors of one file, and what is wrong with it (nothing: an empty text)."""
    tensors = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - safe_open is no dictionary
                part = file.get_slice(name)
                dtype = SAFETENSORS_TYPES.get(part.get_dtype(), str(part.get_dtype()))
                tensors[name] = StoredTensor(path, dtype, tuple(part.get_shape()))
    except (SafetensorError, OSError) as error:
        return tensors, f"{path.name} cannot be read: {error}"
    return tensors, ""


def _rewrite(folder: Path, pickles: list[Path], scratch: Path) -> None:
    """Write the pickled tensors to `scratch` as safetensors, and copy config and tokenizer there."""
    rows: dict[str, Row] = {}
    for path in pickles:
        opened = open_file(path)
        for name, value in opened.content.items():
            if isinstance(value, LazyTensor):
                rows[name] = Row(name, value.shape, value.dtype, COPY, moved=Moved(value, name))
                opened.check_integrity(value)
    ordered = sorted(rows.values(), key=lambda row: row.target)
    write_weights(scratch, ordered, source=folder.name, allow_nonfinite=True, tick=lambda size: None)
    for name in (CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, scratch / name)
