"""The references: what can compute a checkpoint, by name.

The third one, outputs that were recorded, is not chosen by name but by the file that has them; see `golden.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.mapping.understood import Prepared
from prenorm.options import ReferenceOptions, TaskKind
from prenorm.options.spoken import spoken
from prenorm.proof.protocols import ReferenceModel
from prenorm.proof.references.float32 import Float32Reference
from prenorm.proof.references.float64 import Float64Reference
from prenorm.proof.references.settings import is_rounded, settings_of, tensors_as_stored

__all__ = ["REFERENCES", "open_reference"]


@contextmanager
def _builtin(prepared: Prepared, stored: str, options: ReferenceOptions, compute: str) -> Iterator[ReferenceModel]:
    """Yield the built-in reference."""
    kind = Float32Reference if compute == "float32" else Float64Reference
    yield kind(tensors_as_stored(prepared, stored), settings_of(prepared.description))


@contextmanager
def _fairseq(prepared: Prepared, stored: str, options: ReferenceOptions, compute: str) -> Iterator[ReferenceModel]:
    """Yield real fairseq in an interpreter of its own."""
    from prenorm.proof.references.fairseq.model import fairseq_model
    from prenorm.proof.references.fairseq.process import FairseqWorker
    from prenorm.proof.references.fairseq.reference import FairseqReference

    assert options.fairseq_python is not None
    if is_rounded(prepared, stored):
        raise UsageProblem(
            f"{spoken('reference', 'fairseq')} judges folders in the checkpoint's own type, and this one has another",
            advice=f"Leave {spoken('reference')} out",
        )
    task = prepared.plan.task
    model = fairseq_model(prepared.description, prepared.arguments, prepared.canonical, prepared.tensors)
    with FairseqWorker(Path(options.fairseq_python)) as worker:
        yield FairseqReference(
            worker,
            model,
            logits=task.kind is TaskKind.MASKED_LM,
            heads=[task.head.name] if task.head else [],
            judges=compute,
        )


# To add a reference is to write a file with one class, and to name here what opens it.
REFERENCES: Mapping[str, Callable[[Prepared, str, ReferenceOptions, str], AbstractContextManager[ReferenceModel]]] = {
    "builtin": _builtin,
    "fairseq": _fairseq,
}


def open_reference(
    prepared: Prepared, stored: str, options: ReferenceOptions, compute: str = "float64"
) -> AbstractContextManager[ReferenceModel]:
    """Open the reference that the options choose; leaving the context ends its process, if it has one.

    Args:
        prepared: the checkpoint.
        stored: the type that the folder stores.
        options: which reference.
        compute: what the folder computes in. For float32 the reference measures what that costs; it is exact itself.

    Returns:
        A context that yields the reference. Entering it raises `UsageProblem` if the interpreter that the options name has
        no fairseq, or its fairseq cannot load the model.
    """
    return REFERENCES[options.reference](prepared, stored, options, compute)
