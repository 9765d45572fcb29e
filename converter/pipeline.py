"""The flow: read, normalize, describe, plan, write, prove, publish. Each step takes values and returns values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from converter.checkpoint import Checkpoint, Risk, open_checkpoint
from converter.dictionary import Dictionary, check_rows, find_dictionary, read_dictionary
from converter.errors import ParityFailed, UsageProblem
from converter.plan import ConversionPlan, plan_conversion
from converter.progress import Progress, Silent
from converter.source.description import SourceDescription, describe, model_tensors
from converter.source.layouts import Canonical, normalize
from converter.staging import check_output, publish, staging_folder
from converter.tokenizer import BytePairEncoding, Vocabulary, plan_vocabulary, read_bpe

if TYPE_CHECKING:
    from converter.checkpoint.tensors import LazyTensor
    from converter.parity.report import ParityReport


@dataclass(frozen=True)
class Tokenization:
    """What the tokenizer is made of, where there is one."""

    dictionary: Dictionary
    bpe: BytePairEncoding
    vocabulary: Vocabulary


@dataclass(frozen=True)
class Prepared:
    """A checkpoint read and understood, before anything is written."""

    checkpoint: Checkpoint
    tensors: dict[str, LazyTensor]
    canonical: Canonical
    description: SourceDescription
    tokenization: Tokenization | None
    plan: ConversionPlan
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """A finished conversion. `seconds` says how long each stage took."""

    output: Path
    plan: ConversionPlan
    report: ParityReport
    warnings: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What a user can choose about how a checkpoint is understood."""

    dictionary: Path | None = None
    bpe_dir: Path | None = None
    activation: str | None = None
    attention_heads: int | None = None

    @classmethod
    def given(
        cls,
        dictionary: str | Path | None,
        bpe_dir: str | Path | None,
        activation: str | None,
        attention_heads: int | None,
    ) -> Options:
        """The options as the public functions take them, paths as text or not."""
        dictionary, bpe_dir = (None if path is None else Path(path) for path in (dictionary, bpe_dir))
        return cls(dictionary, bpe_dir, activation, attention_heads)


def convert(
    checkpoint: str | Path,
    output: str | Path,
    *,
    dictionary: str | Path | None = None,
    bpe_dir: str | Path | None = None,
    activation: str | None = None,
    attention_heads: int | None = None,
    allow_nonfinite: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Converts a checkpoint into a proven folder at `output`, or leaves `output` as it was and raises.

    Args:
        checkpoint: the file that fairseq or DinkyTrain saved.
        output: the folder to make.
        dictionary: fairseq's dict.txt; default: `dict.txt` beside the checkpoint.
        bpe_dir: the folder with GPT-2's `encoder.json` and `vocab.bpe`; without it the folder has no tokenizer.
        activation: `gelu` or `gelu_new`, for checkpoints of DinkyTrain's DeepSpeed kernels.
        attention_heads: for checkpoints that do not record it.
        allow_nonfinite: convert weights with NaN or infinity, without a verdict.
        overwrite: replace an existing folder, in one step.

    Raises:
        UsageProblem: an argument or a file that does not fit.
        NotRepresentable: no Hugging Face architecture computes exactly the same.
        UnreadableCheckpoint: the file is damaged, incomplete or unsafe.
        ParityFailed: the written model does not compute the same; its `report` says where.
    """
    source, target = Path(checkpoint), Path(output)
    options = Options.given(dictionary, bpe_dir, activation, attention_heads)
    watch = progress or Silent()
    clock = _Clock()
    inputs = [path for path in (source, options.dictionary, options.bpe_dir) if path is not None]
    with clock.measure("read"):
        check_output(target, overwrite=overwrite, inputs=inputs)
        prepared = prepare(open_checkpoint(source), options)
        for text in prepared.warnings:
            watch.warn(text)
    with clock.measure("import"):  # torch, which inspect and refusals do not wait for
        from converter.assemble import prove_folder, write_folder
    with staging_folder(target) as staging:
        with clock.measure("write"):
            write_folder(prepared, staging, allow_nonfinite=allow_nonfinite, watch=watch)
        with clock.measure("prove"):
            try:
                report = prove_folder(prepared, staging, watch)
            except ValueError as error:
                raise ParityFailed(f"the written model cannot be compared: {error}", subject=target) from error
        if not report.agrees:
            raise _failure(report, target)
        with clock.measure("publish"):
            publish(staging, target, overwrite=overwrite)
    warnings = prepared.warnings
    if not report.judged:
        warnings = (*warnings, "the weights hold NaN or infinity: parity could not be judged, and the report says so")
        watch.warn(warnings[-1])
    return Conversion(target, prepared.plan, report, warnings, clock.seconds)


def prepare(checkpoint: Checkpoint, options: Options) -> Prepared:
    """Normalizes, describes and plans; writes nothing."""
    tensors = model_tensors(checkpoint)
    canonical = normalize(tensors)
    description = describe(
        checkpoint, canonical, attention_heads=options.attention_heads, activation=options.activation
    )
    tokenization = prepare_tokenization(checkpoint.file.path, options, description)
    extra_rows = tokenization.vocabulary.extra_rows if tokenization else 0
    plan = plan_conversion(description, canonical, extra_rows)
    warnings = tuple(_warnings(checkpoint, plan, tokenization))
    return Prepared(checkpoint, tensors, canonical, description, tokenization, plan, warnings)


def prepare_tokenization(source: Path, options: Options, description: SourceDescription) -> Tokenization | None:
    """The tokenizer's parts, if there are a dictionary and a BPE; a dictionary that does not fit is refused either way."""
    path = find_dictionary(source, options.dictionary)
    if path is None:
        if options.bpe_dir is not None:
            raise UsageProblem(
                "--bpe-dir needs fairseq's dictionary, and there is no dict.txt beside the checkpoint",
                advice="Give it with --dict",
            )
        return None
    dictionary = read_dictionary(path)
    check_rows(dictionary, description.vocab_size)
    if options.bpe_dir is None:
        return None
    bpe = read_bpe(options.bpe_dir)
    return Tokenization(dictionary, bpe, plan_vocabulary(dictionary, bpe))


def _warnings(checkpoint: Checkpoint, plan: ConversionPlan, tokenization: Tokenization | None) -> Iterator[str]:
    risky = [f"{item.module}.{item.name}" for item in checkpoint.globals if item.risk is Risk.CODE]
    if risky:
        yield f"the checkpoint names {', '.join(risky[:5])}, which unpickling it would have run or imported; nothing was run"
    if tokenization is None:
        yield "the folder gets no tokenizer: give --bpe-dir (and --dict, if dict.txt is not beside the checkpoint)"
    if plan.extra_rows:
        yield (
            f"the vocabulary grows by {plan.extra_rows} rows, to {plan.config['vocab_size']}: BPE tokens that the dictionary "
            "lacks and a merge needs; they read as <unk> and are never predicted"
        )
    heads = plan.description.heads
    if heads:
        names = ", ".join(head.name for head in heads)
        yield f"the classification head {names} is left out: this version converts the masked LM"
    if plan.description.layout == "deepspeed":
        yield (
            f"DeepSpeed's kernels computed the tanh form of GELU; the folder says hidden_act={plan.description.activation} "
            "(--activation gelu_new or gelu chooses)"
        )


def _failure(report: ParityReport, output: Path) -> ParityFailed:
    failed = [check.name for check in report.checks if not check.passed]
    where = report.modules.first_divergence
    unequal = [row.target or row.source for row in report.audit.rows if row.equal is False]
    error = ParityFailed(
        f"the converted model does not compute what the checkpoint computes (failed: {', '.join(failed)}"
        + (f"; first diverging module: {where}" if where else "")
        + f"), so {output} was not written",
        problems=[*report.audit.problems, *(f"'{name}' is not bit-equal to its source" for name in unequal)],
        advice="This is a fault of prenorm: please report it with the output of prenorm inspect",
    )
    error.report = report
    return error


class _Clock:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
