"""What a user should know of a conversion that is not wrong: one sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from prenorm.checkpoint import Checkpoint, Risk
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.tokenizer import TokenizerChoice
from prenorm.options import TaskKind
from prenorm.options.spoken import spoken
from prenorm.source.positions import USUAL_PAD_ID
from prenorm.tokenization import Tokenization, TokenizationKind

NOT_JUDGED = "the weights hold NaN or infinity: parity could not be judged, and the report says so"


def warnings(checkpoint: Checkpoint, plan: ConversionPlan, tokenizer: TokenizerChoice) -> Iterator[str]:
    """Collect what a user should know before anything is written.

    Args:
        checkpoint: the opened file.
        plan: what will be written.
        tokenizer: the tokenizer, or why there is none.

    Yields:
        str: a warning, in one sentence.
    """
    risky = [f"{item.module}.{item.name}" for item in checkpoint.globals if item.risk is Risk.CODE]
    if risky:
        yield f"the checkpoint names {', '.join(risky[:5])}, which unpickling it would have run or imported; nothing was run"
    yield from _task(plan)
    yield from _source(plan)
    yield from tokenizer.unfit
    if tokenizer.lacking:
        yield f"the folder gets no tokenizer: {tokenizer.lacking}"
    tokenization = tokenizer.tokenization
    if plan.extra_rows:
        yield (
            f"the vocabulary grows by {plan.extra_rows} rows, to {plan.config['vocab_size']}: {_extra(tokenization)}; "
            "they read as <unk> and are never predicted"
        )
    if tokenization is not None:
        yield from tokenization.notes


def _extra(tokenization: Tokenization | None) -> str:
    if tokenization is not None and tokenization.kind is TokenizationKind.SENTENCEPIECE:
        return "sentencepiece's pieces that the dictionary lacks"
    return "BPE tokens that the dictionary lacks and a merge needs"


def _task(plan: ConversionPlan) -> Iterator[str]:
    """Warn of what the task leaves out."""
    task, description = plan.task, plan.description
    others = [head.name for head in description.heads if task.head is None or head.name != task.head.name]
    if others:
        yield f"left out: classification head {', '.join(others)}"
    if task.kind is TaskKind.SEQUENCE_CLASSIFICATION and not task.labels_given and not task.regression:
        yield f"the classes are named LABEL_0 and so on: give the data's label/dict.txt with {spoken('label_dict', ...)}"


def _source(plan: ConversionPlan) -> Iterator[str]:
    """Warn of what the source leaves open."""
    description = plan.description
    if description.deepspeed_kernels:
        yield (
            f"DeepSpeed's kernels computed the tanh form of GELU; the folder says hidden_act={plan.config['hidden_act']} "
            f"({spoken('activation', 'gelu_new')} or gelu chooses)"
        )
    elif not description.activation_recorded:
        yield (
            f"the checkpoint does not record its activation; fairseq's default, {description.activation}, is assumed "
            f"({spoken('activation', ...)} chooses)"
        )
    if description.layers_kept is not None:
        kept = ", ".join(map(str, description.layers_kept))
        yield f"encoder_layers_to_keep: of the file's layers only {kept} are used, renumbered from 0"
    if description.pad_id != USUAL_PAD_ID:
        yield (
            f"the pad has id {description.pad_id}, as the size of the position table and the zero rows say; the ids of <s> "
            "and </s> are recorded nowhere, so config.json leaves them open"
        )
