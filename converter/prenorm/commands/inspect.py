"""`inspect`: what a checkpoint holds, what it converts to or exactly why it cannot be, and what its pickle names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from prenorm.checkpoint import Checkpoint, LazyTensor, NamedGlobal
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import open_source
from prenorm.errors import PrenormError, describe
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import InspectOptions
from prenorm.source.contents import model_tensors
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import normalize


@dataclass(frozen=True)
class TensorLine:
    """One source tensor and where it goes: a target tensor's name, or the reason why nowhere."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    target: str | None
    reason: str


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found. `refusal` is the reason why it cannot be converted, with `refusal_code` as exit code.

    `files` are all files the checkpoint lies in, `file` the first of them and `size` their bytes together.
    """

    file: str
    size: int
    files: tuple[str, ...]
    container: str
    contents: tuple[str, ...]
    layout: str | None
    description: SourceDescription | None
    converts_to: Mapping[str, object] | None
    refusal: str | None
    refusal_code: int | None
    tensors: tuple[TensorLine, ...]
    globals: tuple[NamedGlobal, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """The same as plain values, for JSON."""
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
    opened = open_source(options.checkpoint, options.listener)
    try:
        prepared = prepare(opened, options)
    except PrenormError as error:
        return _refused(opened, error)
    return Inspection(
        file=opened.file.name,
        size=sum(file.size for file in opened.files),
        files=tuple(file.name for file in opened.files),
        container=opened.container,
        contents=tuple(opened.content),
        layout=prepared.canonical.name,
        description=prepared.description,
        converts_to={
            "model_type": prepared.plan.model_type,
            "architecture": prepared.plan.architecture,
            "task": prepared.plan.task.kind.value,
            "head": prepared.plan.task.head.name if prepared.plan.task.head else None,
            "chosen_because": prepared.plan.task.why,
            "extra_rows": prepared.plan.extra_rows,
            "config": prepared.plan.config,
        },
        refusal=None,
        refusal_code=None,
        tensors=_fates(prepared),
        globals=opened.globals,
        warnings=prepared.warnings,
    )


def _refused(opened: Checkpoint, error: PrenormError) -> Inspection:
    """What can be said of a checkpoint that cannot be converted."""
    tensors: dict[str, SourceTensor] = {}
    layout = None
    try:
        tensors = model_tensors(opened)
        layout = normalize(tensors).name
    except PrenormError:
        tensors = tensors or {key: item for key, item in opened.content.items() if isinstance(item, LazyTensor)}
    return Inspection(
        file=opened.file.name,
        size=sum(file.size for file in opened.files),
        files=tuple(file.name for file in opened.files),
        container=opened.container,
        contents=tuple(opened.content),
        layout=layout,
        description=None,
        converts_to=None,
        refusal=describe(error),
        refusal_code=int(error.exit_code),
        tensors=tuple(TensorLine(key, item.dtype, item.shape, None, "") for key, item in tensors.items()),
        globals=opened.globals,
        warnings=(),
    )


def _fates(prepared: Prepared) -> tuple[TensorLine, ...]:
    """Every source tensor with the target tensors it becomes."""
    targets: dict[str, list[str]] = {}
    reasons: dict[str, str] = {item.source: item.reason for item in prepared.plan.dropped}
    for row in prepared.plan.rows:
        for source in row.sources:
            targets.setdefault(source, []).append(row.target)
            reasons.setdefault(source, row.operation if row.operation != "copy" else row.reason)
    return tuple(
        TensorLine(
            key, item.dtype, item.shape, ", ".join(targets[key]) if key in targets else None, reasons.get(key, "")
        )
        for key, item in prepared.tensors.items()
    )
