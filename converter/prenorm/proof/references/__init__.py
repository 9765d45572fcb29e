"""Which reference a proof takes: the built-in one, or real fairseq in an interpreter of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UsageProblem
from prenorm.options import ReferenceOptions, TaskKind
from prenorm.proof.comparison import ReferenceModel, reference_arguments
from prenorm.proof.numbers.float32 import UNLUCKY, Float32Reference
from prenorm.proof.references.builtin import Reference
from prenorm.reports.model import NoiseFloor

if TYPE_CHECKING:
    from prenorm.mapping.understood import Prepared
    from prenorm.proof.references.fairseq.runtime import FairseqReference


@dataclass(frozen=True)
class ChosenReference:
    """A reference, what the report calls it, its noise by stage and part, and the source tensors that it uses."""

    model: ReferenceModel
    name: str
    noise: Callable[[str, str], float]
    floor: Callable[[], NoiseFloor | None]
    used: Callable[[], set[str]]


@contextmanager
def open_reference(
    prepared: Prepared, tensors: Mapping[str, SourceTensor], options: ReferenceOptions, compute: str = "float64"
) -> Iterator[ChosenReference]:
    """The built-in reference, or fairseq where that is chosen.

    Args:
        options: which reference.
        tensors: the source tensors under the checkpoint's own names, in the type that the folder stores.
        compute: what the folder computes in. For float32 the reference measures what that costs; it is exact itself.

    Raises:
        UsageProblem: if that interpreter has no fairseq, or its fairseq cannot load the model.
    """
    python = options.fairseq_python
    if python is None and compute == "float32":
        measured = Float32Reference(tensors, reference_arguments(prepared.description))
        yield ChosenReference(measured, "builtin", measured.noise_at, measured.floor, lambda: measured.exact.used)
        return
    if python is None:
        builtin = Reference(tensors, reference_arguments(prepared.description))
        yield ChosenReference(builtin, "builtin", lambda stage, part: 0.0, lambda: None, lambda: builtin.used)
        return
    if tensors is not prepared.tensors:
        raise UsageProblem(
            "--reference fairseq judges folders in the checkpoint's own type, and this one is stored in another",
            advice="Leave --reference out",
        )
    from prenorm.proof.references.fairseq.model import fairseq_model
    from prenorm.proof.references.fairseq.process import FairseqWorker
    from prenorm.proof.references.fairseq.runtime import FairseqReference

    task = prepared.plan.task
    model = fairseq_model(prepared.description, prepared.arguments, prepared.canonical, tensors)
    heads = [task.head.name] if task.head else []
    with FairseqWorker(Path(python)) as worker:
        real = FairseqReference(worker, model, logits=task.kind is TaskKind.MASKED_LM, heads=heads)
        facts = real.facts
        name = f"fairseq {facts['fairseq']} (torch {facts['torch']}, Python {facts['python']})"
        yield ChosenReference(
            real, name, _rounding(real, compute), lambda: _floor(real), lambda: real.used & prepared.tensors.keys()
        )


def _rounding(real: FairseqReference, compute: str) -> Callable[[str, str], float]:
    """fairseq casts to float32 within its GELU, even in float64: how far that alone takes it, as it was measured. Beside a
    folder in float32 it is how far fairseq's own float32 is from its float64.
    """
    if compute == "float32":
        return lambda stage, part: UNLUCKY * found.float32 if (found := real.noise.get((stage, part))) else 0.0
    return lambda stage, part: found.rounding if (found := real.noise.get((stage, part))) else 0.0


def _floor(real: FairseqReference) -> NoiseFloor:
    """For the report: how far fairseq's float32 is from its float64."""
    stages = {f"{stage}.{part}": noise.float32 for (stage, part), noise in real.noise.items() if part == "out"}
    logits = real.noise.get(("logits", "out"))
    return NoiseFloor(stages, None if logits is None else logits.float32)
