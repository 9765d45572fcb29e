"""`inspect`: what a checkpoint holds, what it converts to or exactly why it cannot be, and what its pickle names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from prenorm.checkpoint import Checkpoint, LazyTensor, RangedFile
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.commands.calls import call_text
from prenorm.commands.inspection import Inspection, TensorLine, TokenizerState
from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import gpt2_files, open_source
from prenorm.errors import PrenormError, UsageProblem, describe
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import InspectOptions
from prenorm.rules import OperationKind
from prenorm.source.contents import model_tensors
from prenorm.source.layouts import normalize
from prenorm.tokenization import gpt2
from prenorm.tokenization.kinds import DictionaryKind, kind_of

_TOKENIZER_OPTIONS: Mapping[DictionaryKind, Mapping[str, object]] = {
    DictionaryKind.NUMBERS: {"bpe_dir": gpt2.NAME},
    DictionaryKind.PIECES: {"sentencepiece": "FILE"},
    DictionaryKind.WORDS: {"words": True},
}


@with_keywords(InspectOptions)
def inspect(options: InspectOptions) -> Inspection:
    """Describe a checkpoint without reading its weights (only an LM head that is stored twice is compared).

    Of a large file on the Hub some hundred kilobytes are fetched, unless `whole` asks for all; what is stored twice is
    compared by the checksums that the file states, or where it has none by a few rows.

    Args:
        options: the arguments and keywords, which make the plan what it would be in `convert`.

    Returns:
        What it holds, and what it converts to or why it cannot be.

    Raises:
        UsageProblem: if there is no such file, or one that an option names cannot be read.
        UnreadableCheckpoint: if it is no checkpoint at all.
        HubProblem: if the Hub does not hand it out.
    """
    checkpoint = open_source(options.checkpoint, options)
    inspection = _inspection(checkpoint, options)
    ranged = [file for file in checkpoint.files if isinstance(file, RangedFile)]
    return replace(inspection, read=sum(file.seen.total for file in ranged)) if ranged else inspection


def _inspection(checkpoint: Checkpoint, options: InspectOptions) -> Inspection:
    """Describe an opened checkpoint."""
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
        if isinstance(error, UsageProblem) and isinstance(error.__cause__, OSError | UnicodeDecodeError):
            raise  # a file that an option names cannot be read: that says nothing of the checkpoint
        layout, tensors = _known_tensors(checkpoint)
        return replace(
            inspection, layout=layout, tensors=tensors, refusal=describe(error), refusal_code=int(error.exit_code)
        )
    tokenizer = _tokenizer(prepared)
    return replace(
        inspection,
        layout=prepared.canonical.name,
        parameters=prepared.plan.parameters,
        description=prepared.description,
        converts_to=_target(prepared.plan),
        tokenizer=tokenizer,
        next_step=call_text("convert", (options.checkpoint,), options, _options_left_out(tokenizer)),
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


def _tokenizer(prepared: Prepared) -> TokenizerState:
    dictionary, choice = prepared.dictionary, prepared.tokenizer
    holds = None if dictionary is None else kind_of(dictionary)
    return TokenizerState(
        dictionary=None if dictionary is None else dictionary.path.name,
        holds=holds,
        kind=None if choice.kind is None else choice.kind.value,
        files=choice.files,
    )


def _options_left_out(state: TokenizerState) -> Mapping[str, object]:
    """Return the option that makes a tokenizer of the dictionary, with a placeholder for what is not known."""
    return {} if state.kind is not None or state.holds is None else _TOKENIZER_OPTIONS.get(state.holds, {})


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
