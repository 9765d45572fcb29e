"""The option groups: what users choose for the commands, and for the Python functions of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from prenorm.errors import UsageProblem
from prenorm.options.facts import (
    LOCAL,
    Kind,
    Option,
    OptionGroup,
    Section,
    StrPath,
    field_name,
    field_of,
    option,
    option_fields,
    option_of,
    required,
    selected,
)
from prenorm.options.modes import Modes
from prenorm.options.values import ACTIVATIONS, AUTO, COMPUTE_TYPES, REFERENCES, RUNTIMES, TASKS, WEIGHTS
from prenorm.progress import Progress, Silent

_CHECKPOINT = Option(
    "The file that fairseq or DinkyTrain saved; on the Hub, hf://org/name/path.pt[@revision].",
    kind=Kind.PLACE, positional=True,
)  # fmt: skip
_NEARBY = "what fits, beside CHECKPOINT"
_FOLDER = Option(
    "A model folder, local or a repo id of the Hub, by whoever made it.", kind=Kind.FOLDER_PLACE, positional=True
)


@dataclass(frozen=True, repr=False, kw_only=True)
class Options(OptionGroup):
    """The root of the groups that the Python functions take.

    Attributes:
        progress: what receives the stages of the work while it goes on; None: nothing does.
    """

    progress: Progress | None = field(default=None, repr=False, compare=False)

    @property
    def listener(self) -> Progress:
        """What receives the stages of the work, in any case."""
        return self.progress or Silent()

    @property
    def paths(self) -> list[Path]:
        """The local files and folders that the options name."""
        values = (getattr(self, item.name) for item in option_fields(type(self)) if option_of(item).kind in LOCAL)
        return [Path(value) for value in values if value is not None]


@dataclass(frozen=True, repr=False, kw_only=True)
class RequestOptions(Options):
    """How the Hub is asked, by whatever asks it."""

    retries: int | None = option(
        None, "How often one request to the Hub is repeated that failed for a temporary reason.", Section.HUB,
        kind=Kind.COUNT, at_least=0, at_most=20, unset="4 for a push, 2 for a download", on_card=False,
    )  # fmt: skip
    timeout: float | None = option(
        None, "Seconds that the Hub may be silent in the middle of a request.", Section.HUB,
        kind=Kind.SECONDS, at_least=0.1, unset="120", on_card=False,
    )  # fmt: skip


@dataclass(frozen=True, repr=False, kw_only=True)
class SourceOptions(RequestOptions):
    """How a checkpoint is understood."""

    whole: bool = option(
        False, "Fetch all of a large CHECKPOINT on the Hub, not its weights alone, and check its SHA-256.", Section.HUB,
        kind=Kind.FLAG, on_card=False,
    )  # fmt: skip
    dictionary: StrPath | None = option(
        None, "The dictionary that fairseq trained with.", Section.TOKENIZER,
        kind=Kind.PATH, flag="--dict", metavar="FILE", unset="dict.txt beside CHECKPOINT, or with its data",
    )  # fmt: skip
    bpe_dir: StrPath | None = option(
        None, "The folder of a BPE's encoder.json and vocab.bpe, or vocab.json and merges.txt; gpt2: GPT-2's, of the Hub.",
        Section.TOKENIZER, kind=Kind.FOLDER, unset=_NEARBY,
    )  # fmt: skip
    sentencepiece: StrPath | None = option(
        None, "Instead: a sentencepiece model.", Section.TOKENIZER, kind=Kind.PATH, metavar="FILE", unset=_NEARBY
    )
    words: bool = option(False, "Instead: the dictionary holds words.", Section.TOKENIZER, kind=Kind.FLAG)
    no_tokenizer: bool = option(
        False, "Make no tokenizer, whatever lies beside CHECKPOINT.", Section.TOKENIZER, kind=Kind.FLAG
    )
    label_dict: StrPath | None = option(
        None, "The dictionary of labels, fairseq's label/dict.txt.", Section.INPUT,
        kind=Kind.PATH, metavar="FILE", unset="LABEL_0 ...",
    )  # fmt: skip
    task: str = option(
        AUTO, "What the folder is for; auto: what the checkpoint was trained for.", Section.INPUT, choices=TASKS
    )
    head: str | None = option(
        None, "Which classification head to convert.", Section.INPUT, metavar="NAME", unset="the only one"
    )
    weights: str = option(
        "model",
        "Which weights to convert; ema: the moving average that --store-ema keeps.",
        Section.INPUT,
        choices=WEIGHTS,
    )
    activation: str | None = option(
        None, "The activation, if none is recorded; for DinkyTrain's DeepSpeed kernels gelu or gelu_new.", Section.INPUT,
        choices=tuple(ACTIVATIONS), unset="as recorded",
    )  # fmt: skip
    attention_heads: int | None = option(
        None,
        "How many attention heads, if the checkpoint records none.",
        Section.INPUT,
        kind=Kind.COUNT,
        at_least=1,
        unset="as recorded",
    )


@dataclass(frozen=True, repr=False, kw_only=True)
class ReferenceOptions(Options):
    """What computes the checkpoint."""

    reference: str = option(
        "builtin", "What computes CHECKPOINT: built-in code, or fairseq itself.", Section.PROOF, choices=REFERENCES
    )
    fairseq_python: StrPath | None = option(
        None, "The Python that can import fairseq.", Section.PROOF, kind=Kind.PATH, metavar="PYTHON"
    )

    def __post_init__(self) -> None:
        """Check that an interpreter is named for fairseq.

        Raises:
            UsageProblem: if none is, or a value is none of its option's choices.
        """
        super().__post_init__()
        if self.reference == "fairseq" and self.fairseq_python is None:
            reference, python = (field_of([type(self)], name) for name in ("reference", "fairseq_python"))
            raise UsageProblem(
                f"{field_name(reference, 'fairseq')} needs {field_name(python, ...)}",
                advice="That is a Python that can import fairseq; make fairseq-env builds one",
            )


@dataclass(frozen=True, repr=False, kw_only=True)
class ProofOptions(ReferenceOptions):
    """How a folder is proven."""

    exhaustive: bool = option(
        False, "Compute the whole probe on both sides, end to end, and not short rows only; takes longer.", Section.PROOF,
        kind=Kind.FLAG,
    )  # fmt: skip


@dataclass(frozen=True, repr=False, kw_only=True)
class CardOptions(Options):
    """What a user says about the model on its card."""

    card: StrPath | None = option(
        None, "Markdown of your own for the model card; its front matter goes before ours.", Section.CARD,
        kind=Kind.PATH, metavar="FILE",
    )  # fmt: skip
    license: str | None = option(None, "The Hub's identifier of the licence.", Section.CARD, metavar="ID")
    language: str | Sequence[str] = option(
        (), "ISO 639 code of a language; may repeat.", Section.CARD, metavar="CODE", repeats=True
    )
    base_model: str | None = option(
        None, "The repo of the model that it was trained from.", Section.CARD, metavar="REPO_ID"
    )


@dataclass(frozen=True, repr=False, kw_only=True)
class StrictOptions(Options):
    """What counts as success."""

    strict: bool = option(
        False, "Fail (exit code 1), too, if a part that changes what the folder computes was not judged.", Section.PROOF,
        kind=Kind.FLAG, on_card=False,
        keyword_help="Raise NotJudged if a part that changes what the folder computes was not judged.",
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class InspectOptions(SourceOptions):
    """The options of `inspect`."""

    checkpoint: StrPath = field(metadata=required(_CHECKPOINT))


@dataclass(frozen=True, repr=False)
class RecordOptions(ReferenceOptions, SourceOptions):
    """The options of `record`."""

    checkpoint: StrPath = field(metadata=required(_CHECKPOINT))
    golden: StrPath = field(metadata=required(Option("The file to make.", kind=Kind.PATH, positional=True)))


@dataclass(frozen=True, repr=False, kw_only=True)
class ConversionOptions(StrictOptions, CardOptions, ProofOptions, SourceOptions):
    """How a checkpoint is converted: alone, or as a member of a run."""

    allow_nonfinite: bool = option(
        False, "Convert weights with NaN or infinity, unjudged.", Section.PROOF, kind=Kind.FLAG
    )


@dataclass(frozen=True, repr=False)
class ConvertOptions(ConversionOptions):
    """The options of `convert`."""

    checkpoint: StrPath = field(metadata=required(_CHECKPOINT))
    output: StrPath | None = option(
        None, "The folder to make.", Section.OUTPUT,
        kind=Kind.FOLDER, unset="a folder of CHECKPOINT's name, here", positional=True,
    )  # fmt: skip
    _: KW_ONLY
    overwrite: bool = option(
        False, "Replace OUTPUT in one step if it exists.", Section.OUTPUT, kind=Kind.FLAG, on_card=False
    )
    repo_id: str | None = option(
        None, "Then push OUTPUT there; the card's code names it.", Section.HUB,
        flag="--push", metavar="REPO_ID", on_card=False,
        keyword_help="The repo that the card's code names; `push` sends the folder there.",
    )  # fmt: skip


@dataclass(frozen=True, repr=False, kw_only=True)
class PublicationOptions(RequestOptions):
    """How a folder is sent to the Hub."""

    private: bool = option(False, "Create the repo as a private one.", Section.HUB, kind=Kind.FLAG)
    pull_request: bool = option(False, "Open a pull request instead of committing.", Section.HUB, kind=Kind.FLAG)


@dataclass(frozen=True, repr=False)
class PushOptions(PublicationOptions):
    """The options of `push`."""

    folder: StrPath = field(
        metadata=required(
            Option("The folder that prenorm convert wrote and proved.", kind=Kind.FOLDER, positional=True)
        )
    )
    repo_id: str = field(
        metadata=required(Option("org/name on the Hub; the repo is created if there is none.", positional=True))
    )
    _: KW_ONLY
    revision: str | None = option(
        None, "Commit to this branch; it is created if needed.", Section.HUB, metavar="BRANCH", unset="main"
    )
    message: str | None = option(None, "The commit's title.", Section.HUB, unset="that prenorm made and proved it")
    dry_run: bool = option(False, "Show what would be sent, and send nothing.", Section.HUB, kind=Kind.FLAG)


@dataclass(frozen=True, repr=False)
class ConvertAndPushOptions(PublicationOptions, ConvertOptions):
    """The options of `convert --push`, which the command line alone has."""

    selected_by: ClassVar[str | None] = "repo_id"

    @property
    def publication(self) -> PushOptions:
        """The options of the push."""
        return selected(PushOptions, {**vars(self), "folder": self.output})


CONVERT_MODES = Modes((ConvertOptions, ConvertAndPushOptions))


@dataclass(frozen=True, repr=False, kw_only=True)
class _FolderOptions(StrictOptions, RequestOptions):
    revision: str | None = option(
        None, "Branch, tag or commit of a repo on the Hub.", Section.HUB, metavar="REV", unset="its main branch"
    )


@dataclass(frozen=True, repr=False, kw_only=True)
class _RuntimeOptions(Options):
    runtime: str = option(
        "bundled",
        "What computes FOLDER: the bundled model, the installed transformers, both, the model in TensorFlow or Flax, or all.",
        Section.PROOF, choices=RUNTIMES,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class VerifyOptions(_FolderOptions, _RuntimeOptions, ProofOptions, SourceOptions):
    """The options of `verify CHECKPOINT FOLDER`."""

    checkpoint: StrPath = field(metadata=required(_CHECKPOINT))
    folder: StrPath = field(metadata=required(_FOLDER))
    _: KW_ONLY
    compute: str = option(
        "float64", "What FOLDER computes in. float32, for large models, is judged by its rounding, which is measured.",
        Section.PROOF, choices=COMPUTE_TYPES,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class GoldenOptions(_FolderOptions, _RuntimeOptions):
    """The options of `verify FOLDER --golden FILE`."""

    selected_by: ClassVar[str | None] = "golden"

    folder: StrPath = field(metadata=required(_FOLDER))
    golden: StrPath = field(
        metadata=required(
            Option(
                "Judge by a file of prenorm record, without CHECKPOINT.", Section.PROOF,
                kind=Kind.PATH, metavar="FILE",
            )
        )
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class FolderOnlyOptions(_FolderOptions):
    """The options of `verify FOLDER --folder-only`."""

    selected_by: ClassVar[str | None] = "folder_only"

    folder: StrPath = field(metadata=required(_FOLDER))
    _: KW_ONLY
    folder_only: Literal[True] = field(
        metadata=required(
            Option(
                "Judge nothing by CHECKPOINT: try FOLDER out in your own transformers, where people use it.",
                Section.PROOF, kind=Kind.FLAG,
            )
        )
    )  # fmt: skip


VERIFY_MODES = Modes(
    (VerifyOptions, GoldenOptions, FolderOnlyOptions),
    "verify needs one thing to judge by: a checkpoint, a file that record made, or the folder alone",
    "prenorm verify CHECKPOINT FOLDER, or verify FOLDER --golden FILE, or verify FOLDER --folder-only",
    "[CHECKPOINT] FOLDER",
)
