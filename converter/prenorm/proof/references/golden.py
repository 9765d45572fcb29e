"""Golden outputs: what a checkpoint's model computes on the probe, stored once, so that a folder can be judged without it.

The file is a plain `.npz`. It holds the probe, a sketch of every stage's output (`sketch.py`), the SHA-256 of every tensor
that the folder must have, what config.json must say, what the tokenizer makes of some texts (if one was recorded: the key
`tokenizer` is in no older file, and no older prenorm minds it), and where all that comes from; and the SHA-256 of all of it,
so that a golden file that was changed is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prenorm.errors import UnreadableCheckpoint, UsageProblem
from prenorm.files import or_nearest
from prenorm.mapping.targets import Target, target_of_type
from prenorm.options import TaskKind
from prenorm.options.language import command_name
from prenorm.proof.checks.config import ExpectedConfig
from prenorm.proof.computation import Computation
from prenorm.proof.numbers.differences import RELATIVE_TOLERANCE
from prenorm.proof.protocols import Stage

SCHEMA_VERSION = 1
_META = "meta"
_MOST_BYTES = 1 << 30


def _advice() -> str:
    return f"Record it again, with {command_name('record')}"


@dataclass(frozen=True)
class Golden:
    """A golden file's content.

    Attributes:
        facts: what it says of itself.
        arrays: the probe and the sketches.
        choices: while it is recorded, the dictionary and the tokenizer that were chosen, as phrases; no part of the file.
        warnings: while it is recorded, what the user should know; no part of the file.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    choices: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        source, architecture = self.facts["source"]["file"], self.facts["config"]["architecture"]
        return f"<Golden of {source}: {architecture}, {len(self.arrays)} arrays>"

    @property
    def computation(self) -> Computation:
        """What was computed, and must be again."""
        facts = self.facts["subject"]
        count = facts["batches"]
        batches = tuple(torch.from_numpy(self.arrays[f"probe.{number}"].astype(np.int64)) for number in range(count))
        return Computation(
            batches, facts["pad"], self.target, TaskKind(facts["kind"]), facts["head"], 0, facts["dtype"], facts["layers"],
            sketched_rows=facts["vocab_size"],
        )  # fmt: skip

    @property
    def target(self) -> Target:
        """The architecture that the folder must be of.

        Raises:
            UsageProblem: if this prenorm does not know it.
        """
        target = target_of_type(self.facts["config"]["model_type"])
        if target is None:
            raise UsageProblem(
                f"is for the architecture {self.facts['config']['model_type']}, which this prenorm does not know",
                advice="Take the prenorm that recorded it, or a later one",
            )
        return target

    @property
    def config(self) -> ExpectedConfig:
        """What config.json must say."""
        facts = self.facts["config"]
        labels = None if facts["labels"] is None else tuple(facts["labels"])
        return ExpectedConfig(
            self.target,
            facts["architecture"],
            TaskKind(facts["kind"]),
            facts["fields"],
            facts["outputs"],
            labels,
        )


class GoldenReference:
    """The recorded outputs, in the place of a reference: every tensor is its sketch."""

    used: frozenset[str] = frozenset()
    relative_tolerance = RELATIVE_TOLERANCE

    def __init__(self, golden: Golden) -> None:
        """Take the outputs of a golden file.

        Args:
            golden: its content.
        """
        facts = golden.facts
        self.name = f"golden ({facts['reference']}, recorded by prenorm {facts['environment']['prenorm']})"
        self._facts = facts
        self._arrays = golden.arrays
        self._batches = golden.computation.batches
        self._now = 0

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """Return the recorded stages of one of the recorded batches.

        Args:
            input_ids: the batch.

        Yields:
            The stage's name, and the sketch of its output as its only part.
        """
        self._now = next(n for n, batch in enumerate(self._batches) if torch.equal(batch, input_ids))
        names = self._arrays[f"stages.{self._now}"].tolist()
        for name in names:
            yield str(name), {"out": self._get(str(name))}

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """Return the recorded logits of the batch whose stages were asked for last.

        Args:
            features: not used.

        Yields:
            All of them, [tokens, 32].
        """
        yield self._get("logits")

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """Return the recorded outputs of the head.

        Args:
            features: not used.
            head: not used.

        Returns:
            The sketch of `dense`, and `out`.
        """
        return {"dense": self._get("dense"), "out": self._get("outputs")}

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """Raise an error: the tensors' hashes cover the extra rows, and nothing was recorded.

        Args:
            logits: not used.
            row: not used.
            bias: not used.

        Returns:
            Nothing.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def noise(self, stage: str, part: str) -> float:
        """Return how far a recorded sketch can be from an exact one, if every value can be as far as was measured.

        A sum with random signs grows like the root of the number of its summands; 8 such deviations never happen by chance.

        Args:
            stage: a stage, `logits` or `head.NAME`.
            part: one of its parts.

        Returns:
            The largest absolute difference of a sketch; 0 if the built-in reference computed what was recorded.
        """
        noise: float = self._facts["noise"].get(f"{stage}/{part}", 0.0)
        hidden: int = self._facts["config"]["fields"]["hidden_size"]
        width: int = self._facts["subject"]["vocab_size"] if stage == "logits" else hidden
        return noise * 8 * math.sqrt(width)

    def floor(self) -> None:
        """Return None: what float32 costs is not recorded."""

    def _get(self, name: str) -> Tensor:
        """Return what was recorded of the batch that is at hand."""
        return torch.from_numpy(self._arrays[f"{self._now}.{name}"])


def write_golden(path: Path, golden: Golden) -> None:
    """Write the file; the same content gives the same bytes.

    Args:
        path: the file to make.
        golden: its content.

    Raises:
        UsageProblem: if there is a file of that name already.
    """
    if path.exists():
        raise UsageProblem("exists already", subject=path, advice="Choose another name, or remove it first")
    facts = {**golden.facts, "sha256": _digest(golden)}
    raw = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), dtype=np.uint8)
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted({**golden.arrays, _META: raw}.items()):
            entry = zipfile.ZipInfo(f"{name}.npy")  # without a date, which would make every recording differ
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_golden(path: Path) -> Golden:
    """Read the file, and hold it against its own hash; nothing in it is unpickled.

    Args:
        path: a file that `prenorm record` wrote.

    Returns:
        Its content.

    Raises:
        UsageProblem: if there is no such file.
        UnreadableCheckpoint: if it is no golden file, or was changed.
    """
    if not path.is_file():
        advice = or_nearest(path, f"Give a file that {command_name('record')} wrote")
        raise UsageProblem("there is no such file", subject=path, advice=advice)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise UnreadableCheckpoint("is too large for a golden file", subject=path, advice=_advice())
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(arrays.pop(_META).tobytes())
        golden = Golden({name: value for name, value in facts.items() if name != "sha256"}, arrays)
        if facts["schema_version"] != SCHEMA_VERSION:
            raise UsageProblem(f"is of schema version {facts['schema_version']}", subject=path, advice=_advice())
        if facts["sha256"] != _digest(golden):
            raise UnreadableCheckpoint(
                "was changed after it was recorded (its SHA-256 differs)", subject=path, advice=_advice()
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise UnreadableCheckpoint(f"is no golden file ({error})", subject=path, advice=_advice()) from error
    return golden


def _digest(golden: Golden) -> str:
    """Return the SHA-256 of facts and arrays."""
    digest = hashlib.sha256(json.dumps(dict(golden.facts), sort_keys=True).encode())
    for name, array in sorted(golden.arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
