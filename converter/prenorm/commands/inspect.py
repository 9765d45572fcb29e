"""`inspect`: what a checkpoint holds, what it converts to or exactly why it cannot be, and what its pickle names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from prenorm.checkpoint import Checkpoint, LazyTensor, NamedGlobal
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import gpt2_files, open_source
from prenorm.errors import PrenormError, describe
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import InspectOptions
from prenorm.rules import OperationKind
from prenorm.source.contents import model_tensors
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import normalize


@dataclass(frozen=True)
class TensorLine:
    """One source tensor and what becomes of it.

    Attributes:
        name: its key in the checkpoint.
        dtype: its type.
        shape: its sizes.
        target: the target tensors it becomes, separated by commas; None if it is dropped, or nothing is known.
        reason: why it is dropped, or how it is changed; empty if it is copied.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    target: str | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a checkpoint holds.

    Attributes:
        file: its name; of a checkpoint in several files the first one's.
        size: the bytes of all files.
        files: the names of all files.
        container: how the files hold it.
        contents: the keys at its top.
        layout: the family of its tensors' names, if it is known.
        description: what model it holds, if it can be converted.
        converts_to: what it converts to, if it can be converted.
        refusal: why it cannot be converted.
        refusal_code: the exit code that `convert` would end in.
        tensors: what becomes of each tensor.
        globals: what its pickle names; none of it is imported or run.
        warnings: what the user should know.
    """

    file: str
    size: int
    files: tuple[str, ...]
    container: str
    contents: tuple[str, ...]
    layout: str | None = None
    description: SourceDescription | None = None
    converts_to: Mapping[str, object] | None = None
    refusal: str | None = None
    refusal_code: int | None = None
    tensors: tuple[TensorLine, ...] = ()
    globals: tuple[NamedGlobal, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values, for JSON."""
        plain = asdict(self)
        plain["globals"] = [{**asdict(item), "risk": item.risk.value} for item in self.globals]
        return plain


@with_keywords(InspectOptions)
def inspect(options: InspectOptions) -> Inspection:
    """Describe a checkpoint without reading its weights (only an LM head that is stored twice is compared).

    Args:
        options: the arguments and keywords, which make the plan what it would be in `convert`.

    Returns:
        What it holds, and what it converts to or why it cannot be.

    Raises:
        UsageProblem: if there is no such file.
        UnreadableCheckpoint: if it is no checkpoint at all.
        HubProblem: if the Hub does not hand it out.
    """
    checkpoint = open_source(options.checkpoint, options.listener)
    inspection = Inspection(
        file=checkpoint.file.name,
        size=sum(file.size for file in checkpoint.files),
        files=tuple(file.name for file in checkpoint.files),
        container=checkpoint.container,
        contents=tuple(checkpoint.content),
        globals=checkpoint.globals,
    )
    try:
        prepared = prepare(checkpoint, options, gpt2_files=gpt2_files(options, may_fetch=False))
    except PrenormError as error:
        layout, tensors = _known_tensors(checkpoint)
        return replace(
            inspection, layout=layout, tensors=tensors, refusal=describe(error), refusal_code=int(error.exit_code)
        )
    return replace(
        inspection,
        layout=prepared.canonical.name,
        description=prepared.description,
        converts_to={**_target(prepared.plan), "tokenizer": str(prepared.tokenizer)},
        tensors=_fates(prepared),
        warnings=prepared.warnings,
    )


def _target(plan: ConversionPlan) -> dict[str, object]:
    return {
        "model_type": plan.model_type,
        "architecture": plan.architecture,
        "task": plan.task.kind.value,
        "head": plan.task.head.name if plan.task.head else None,
        "chosen_because": plan.task.why,
        "extra_rows": plan.extra_rows,
        "config": plan.config,
    }


def _known_tensors(checkpoint: Checkpoint) -> tuple[str | None, tuple[TensorLine, ...]]:
    """Return the layout and the tensors of a checkpoint that cannot be converted, as far as they are known."""
    tensors: Mapping[str, SourceTensor] = {}
    layout = None
    try:
        tensors = model_tensors(checkpoint)
        layout = normalize(tensors).name
    except PrenormError:
        tensors = tensors or {key: item for key, item in checkpoint.content.items() if isinstance(item, LazyTensor)}
    return layout, tuple(TensorLine(key, item.dtype, item.shape) for key, item in tensors.items())


def _fates(prepared: Prepared) -> tuple[TensorLine, ...]:
    """Return every source tensor with the target tensors it becomes."""
    targets: dict[str, list[str]] = {}
    reasons: dict[str, str] = {item.source: item.reason for item in prepared.plan.dropped}
    for row in prepared.plan.rows:
        for source in row.sources:
            targets.setdefault(source, []).append(row.target)
            reasons.setdefault(source, row.reason if row.operation.kind is OperationKind.COPY else str(row.operation))
    return tuple(
        TensorLine(
            key, item.dtype, item.shape, ", ".join(targets[key]) if key in targets else None, reasons.get(key, "")
        )
        for key, item in prepared.tensors.items()
    )
