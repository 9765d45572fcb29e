"""The flow: read, normalize, describe, plan, write, prove, publish. Each step takes values and returns values."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prenorm.checkpoint import Checkpoint
from prenorm.commands.opening import open_source
from prenorm.errors import ParityFailed, UsageProblem
from prenorm.folder.card.command import command
from prenorm.folder.card.names import PublicNames
from prenorm.folder.card.options import CardOptions, read_own_text
from prenorm.folder.staging import check_output, publish, staging_folder
from prenorm.hub.addresses import hub_file
from prenorm.mapping.plan import ConversionPlan, plan_conversion
from prenorm.mapping.task import choose_task
from prenorm.mapping.warnings import NOT_JUDGED, warnings
from prenorm.options import AUTO, REFERENCES, TASKS, WEIGHTS
from prenorm.parts.model_parallel import vocabulary_multiple
from prenorm.progress import Progress, Silent
from prenorm.source.arguments import Arguments, find_arguments
from prenorm.source.contents import model_tensors
from prenorm.source.description import SourceDescription, describe
from prenorm.source.folding import fold
from prenorm.source.layers import keep_layers
from prenorm.source.layouts import Canonical, normalize
from prenorm.source.positions import USUAL_PAD_ID
from prenorm.tokenization import Tokenization, named_options, plan_tokenization
from prenorm.tokenization.dictionary import check_rows, fill_up, find_dictionary, read_dictionary

if TYPE_CHECKING:
    from prenorm.checkpoint.tensors import SourceTensor
    from prenorm.reports.model import ParityReport


@dataclass(frozen=True)
class Prepared:
    """A checkpoint read and understood, before anything is written."""

    checkpoint: Checkpoint
    tensors: dict[str, SourceTensor]
    canonical: Canonical
    arguments: Arguments
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
    """What a user can choose about how a checkpoint is understood; see `convert`."""

    dictionary: Path | None = None
    bpe_dir: Path | None = None
    sentencepiece: Path | None = None
    words: bool = False
    label_dict: Path | None = None
    task: str = AUTO
    head: str | None = None
    weights: str = "model"
    activation: str | None = None
    attention_heads: int | None = None
    reference: str = "builtin"
    fairseq_python: Path | None = None

    @classmethod
    def given(cls, **options: Any) -> Options:
        """The options as the public functions take them, paths as text or not."""
        for name in ("dictionary", "bpe_dir", "sentencepiece", "label_dict", "fairseq_python"):
            if options.get(name) is not None:
                options[name] = Path(options[name])
        for name, known in (("task", TASKS), ("weights", WEIGHTS), ("reference", REFERENCES)):
            if options.get(name, known[0]) not in known:
                raise UsageProblem(f"{name} is {options[name]!r}, not one of {', '.join(known)}")
        found = cls(**options)
        if (found.reference == "fairseq") != (found.fairseq_python is not None):
            raise UsageProblem(
                "--reference fairseq and --fairseq-python PATH go together",
                advice="PATH is a Python that can import fairseq; make fairseq-env builds one",
            )
        return found

    @property
    def paths(self) -> list[Path]:
        """The files and folders that they name."""
        return [
            path for path in (self.dictionary, self.bpe_dir, self.sentencepiece, self.label_dict) if path is not None
        ]


def convert(
    checkpoint: str | Path,
    output: str | Path,
    *,
    dictionary: str | Path | None = None,
    bpe_dir: str | Path | None = None,
    sentencepiece: str | Path | None = None,
    words: bool = False,
    label_dict: str | Path | None = None,
    task: str = AUTO,
    head: str | None = None,
    weights: str = "model",
    activation: str | None = None,
    attention_heads: int | None = None,
    reference: str = "builtin",
    fairseq_python: str | Path | None = None,
    allow_nonfinite: bool = False,
    overwrite: bool = False,
    card: str | Path | None = None,
    license: str | None = None,
    language: str | Sequence[str] = (),
    base_model: str | None = None,
    repo_id: str | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Converts a checkpoint into a proven folder at `output`, or leaves `output` as it was and raises.

    Args:
        checkpoint: the file that fairseq or DinkyTrain saved; on the Hub, `hf://org/name/path.pt[@revision]`.
        output: the folder to make.
        dictionary: fairseq's dict.txt; default: `dict.txt` beside the checkpoint.
        bpe_dir: the folder with GPT-2's `encoder.json` and `vocab.bpe`.
        sentencepiece: a sentencepiece model instead of them.
        words: or the dictionary's tokens are words, between white space. Without any of the three the folder has no
            tokenizer.
        label_dict: fairseq's dictionary of the labels, for a classification head; without it they are `LABEL_0` and so on.
        task: `masked-lm`, `sequence-classification`, `multiple-choice`, `encoder` (no head), or `auto`: what the checkpoint
            was trained for.
        head: the name of the classification head, where there are several.
        weights: `model`, or `ema` for the moving average that fairseq stores under `--store-ema`.
        activation: for checkpoints of DinkyTrain's DeepSpeed kernels (`gelu` or `gelu_new`), and for those that do not
            record it.
        attention_heads: for checkpoints that do not record it.
        reference: what the folder is proven against: `builtin`, or `fairseq` itself, in another interpreter.
        fairseq_python: that interpreter.
        allow_nonfinite: convert weights with NaN or infinity, without a verdict.
        overwrite: replace an existing folder, in one step.
        card: the user's own text for the model card, Markdown with or without front matter: its body comes first, and what
            its front matter says goes before what the card would say.
        license, language, base_model: for the card: the Hub's identifier of a licence, codes of ISO 639, a repo id.
        repo_id: where the folder will be on the Hub, for the code on the card; without it that code loads from `.`.

    Raises:
        UsageProblem: an argument or a file that does not fit.
        NotRepresentable: no Hugging Face architecture computes exactly the same.
        UnreadableCheckpoint: the file is damaged, incomplete or unsafe.
        ParityFailed: the written model does not compute the same; its `report` says where.
    """
    target = Path(output)
    here = [] if hub_file(str(checkpoint)) else [Path(checkpoint)]
    options = Options.given(
        dictionary=dictionary, bpe_dir=bpe_dir, sentencepiece=sentencepiece, words=words, label_dict=label_dict,
        task=task, head=head, weights=weights, activation=activation, attention_heads=attention_heads,
        reference=reference, fairseq_python=fairseq_python,
    )  # fmt: skip
    about = CardOptions.given(card, license, language, base_model, repo_id)
    watch = progress or Silent()
    clock = _Clock()
    with clock.measure("read"):
        check_output(target, overwrite=overwrite, inputs=[*here, *options.paths, *about.paths])
        own = read_own_text(about)
        prepared = prepare(open_source(checkpoint, watch), options)
        told = (*prepared.warnings, *own.warnings())
        for text in told:
            watch.warn(text)
        again = _again(checkpoint, prepared, options, about, allow_nonfinite=allow_nonfinite)
    with clock.measure("import"):  # torch, which inspect and refusals do not wait for
        from prenorm.commands.assemble import prove_folder, write_folder
    with staging_folder(target) as staging:
        with clock.measure("write"):
            write_folder(prepared, staging, allow_nonfinite=allow_nonfinite, watch=watch)
        with clock.measure("prove"):
            try:
                report = prove_folder(prepared, staging, options.fairseq_python, watch, own=own, command=again)
            except ValueError as error:
                raise ParityFailed(f"the written model cannot be compared: {error}", subject=target) from error
        if not report.agrees:
            raise _failure(report, target)
        with clock.measure("publish"):
            publish(staging, target, overwrite=overwrite)
    if not report.judged:
        told = (*told, NOT_JUDGED)
        watch.warn(NOT_JUDGED)
    return Conversion(target, prepared.plan, report, told, clock.seconds)


def _again(
    checkpoint: str | Path, prepared: Prepared, options: Options, about: CardOptions, *, allow_nonfinite: bool
) -> str:
    """The command that makes the folder again; a checkpoint of the Hub is named with its commit."""
    origin = prepared.checkpoint.origin
    place = "hf://{repo_id}/{path}@{commit}".format(**origin) if origin else Path(checkpoint)
    tells = PublicNames.of_keys(prepared.tensors).tells
    return command(place, options, about, allow_nonfinite=allow_nonfinite, tells=tells)


def prepare(checkpoint: Checkpoint, options: Options, rows: int | None = None) -> Prepared:
    """Normalizes, describes and plans; writes nothing.

    Args:
        rows: the vocabulary's rows in a folder that exists already, where there is no tokenizer to say how many it needs.
    """
    tensors = model_tensors(checkpoint, options.weights)
    arguments = find_arguments(checkpoint.content)
    canonical, layers_kept = keep_layers(normalize(tensors), arguments)
    description = describe(
        checkpoint, canonical, arguments, weights=options.weights, layers_kept=layers_kept,
        attention_heads=options.attention_heads, activation=options.activation,
    )  # fmt: skip
    task = choose_task(description, options.task, options.head, options.label_dict)
    multiple = vocabulary_multiple(arguments)
    tokenization = prepare_tokenization(checkpoint.file.path, options, description, multiple)
    extra_rows = max((rows or 0) - description.vocab_size, 0)
    if tokenization is not None:
        extra_rows = tokenization.vocabulary.extra_rows
    plan = plan_conversion(description, fold(canonical, description), task, extra_rows)
    return Prepared(
        checkpoint,
        tensors,
        canonical,
        arguments,
        description,
        tokenization,
        plan,
        tuple(warnings(checkpoint, plan, tokenization)),
    )


def prepare_tokenization(
    source: Path, options: Options, description: SourceDescription, multiple: int = 1
) -> Tokenization | None:
    """The tokenizer, if there is a dictionary and its kind is named; a dictionary that does not fit is refused either way.

    Args:
        multiple: what fairseq filled the dictionary up to a multiple of, for this model.
    """
    named = named_options(options.bpe_dir, options.sentencepiece, options.words)
    if description.pad_id != USUAL_PAD_ID:
        if named or options.dictionary is not None:
            raise UsageProblem(
                f"the pad has id {description.pad_id}, so the dictionary's first rows are not <s> <pad> </s> <unk>, and no "
                "tokenizer can be made of it",
                advice=f"Leave --dict and {named or '--bpe-dir'} out",
            )
        return None
    path = find_dictionary(source, options.dictionary)
    if path is None:
        if named:
            raise UsageProblem(
                f"{named} needs fairseq's dictionary, and there is no dict.txt beside the checkpoint",
                advice="Give it with --dict",
            )
        return None
    dictionary = fill_up(read_dictionary(path), description.vocab_size, multiple)
    check_rows(dictionary, description.vocab_size)
    return plan_tokenization(dictionary, options.bpe_dir, options.sentencepiece, options.words)


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
