"""What a user can choose, each option once: name, type, default, help and choices.

The command line's options, the keywords of the Python functions with their documentation, and the command on the model card
are made from these dataclasses. Nothing here imports another module of prenorm but its errors, so that `--help` is quick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from prenorm.errors import UsageProblem
from prenorm.progress import Progress, Silent

AUTO = "auto"
StrPath: TypeAlias = str | Path


class TaskKind(str, Enum):
    """What a folder is for: the values of `--task`, `auto` aside."""

    MASKED_LM = "masked-lm"
    SEQUENCE_CLASSIFICATION = "sequence-classification"
    MULTIPLE_CHOICE = "multiple-choice"
    ENCODER = "encoder"


# The class of transformers that loads a folder for each task.
AUTO_CLASSES = {
    TaskKind.MASKED_LM: "AutoModelForMaskedLM",
    TaskKind.SEQUENCE_CLASSIFICATION: "AutoModelForSequenceClassification",
    TaskKind.MULTIPLE_CHOICE: "AutoModelForMultipleChoice",
    TaskKind.ENCODER: "AutoModel",
}

TASKS = (AUTO, *(kind.value for kind in TaskKind))
WEIGHTS = ("model", "ema")
REFERENCES = ("builtin", "fairseq")
COMPUTE_TYPES = ("float64", "float32")
RUNTIMES = ("bundled", "transformers", "both")

# fairseq's names of activations, and Hugging Face's of the same functions. `gelu_fast` is an old name of `gelu_accurate`
# to fairseq (Hugging Face's own `gelu_fast` is the same function with its constants rounded).
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_accurate": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_new": "gelu_new",
    "linear": "linear",
    "relu": "relu",
    "relu_squared": "relu2",
    "tanh": "tanh",
}


def as_path(value: StrPath | None) -> Path | None:
    """Return a path for a path or a text, and None for None."""
    return None if value is None else Path(value)


class Kind(Enum):
    """How an option's value is written: what the command line parses it as."""

    TEXT = "text"
    PATH = "path"
    FLAG = "flag"
    COUNT = "count"
    SECONDS = "seconds"


@dataclass(frozen=True)
class Option:
    """What is known of an option besides its name and default.

    Attributes:
        help: one sentence for `--help` and for the Python documentation.
        kind: how its value is written.
        choices: the values it can take; empty: any of its kind.
        flag: the command line's name where it is not `--field-name`.
        metavar: what stands for the value in `--help`.
        unset: what happens without it, where the default is None and so says nothing.
        repeats: whether it can be given several times; the value is a tuple then.
        at_least, at_most: bounds of a number.
        on_card: whether the model card's command shows it.
    """

    help: str
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()
    flag: str | None = None
    metavar: str | None = None
    unset: str | None = None
    repeats: bool = False
    at_least: float | None = None
    at_most: float | None = None
    on_card: bool = True


def option(default: Any, help: str, **facts: Any) -> Any:
    """Return a dataclass field with its default and an `Option` as metadata.

    Args:
        default: the value without the option.
        help: one sentence.
        facts: the other fields of `Option`.

    Returns:
        The field, typed as anything so that type checkers take the annotation's word, as `dataclasses.field` has it.
    """
    return dataclasses.field(default=default, metadata={"option": Option(help, **facts)})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The root of all option groups: validates choices and makes paths of texts.

    Attributes:
        progress: what is told of the work while it goes on; the command line sets it itself.
    """

    progress: Progress = dataclasses.field(default_factory=Silent, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every value against its option.

        Raises:
            UsageProblem: if a value is none of its option's choices.
        """
        for item in option_fields(type(self)):
            facts, value = option_of(item), getattr(self, item.name)
            if facts.choices and value is not None and value not in facts.choices:
                raise UsageProblem(f"{item.name} is {value!r}, not one of {', '.join(facts.choices)}")
            if facts.kind is Kind.PATH and value is not None:
                paths = tuple(map(Path, value)) if facts.repeats else Path(value)
                object.__setattr__(self, item.name, paths)
            elif facts.repeats:
                object.__setattr__(self, item.name, (value,) if isinstance(value, str) else tuple(value))

    @property
    def paths(self) -> list[Path]:
        """The local files and folders that the options name."""
        named = (item for item in option_fields(type(self)) if option_of(item).kind is Kind.PATH)
        return [Path(value) for item in named if (value := getattr(self, item.name)) is not None]


_Options = TypeVar("_Options", bound=Options)


def option_fields(cls: type[Options]) -> list[dataclasses.Field[Any]]:
    """Return the fields of an option group that are options."""
    return [item for item in dataclasses.fields(cls) if "option" in item.metadata]


def option_of(item: dataclasses.Field[Any]) -> Option:
    """Return what is known of a field of an option group."""
    found = item.metadata["option"]
    assert isinstance(found, Option)
    return found


def flag_of(item: dataclasses.Field[Any]) -> str:
    """Return the command line's name of a field: `bpe_dir` is `--bpe-dir`."""
    return option_of(item).flag or f"--{item.name.replace('_', '-')}"


def chosen(cls: type[_Options], values: Mapping[str, Any]) -> _Options:
    """Return the part of `values` that the group `cls` has.

    Args:
        cls: an option group.
        values: values by field name; other names than the group's are passed over.

    Returns:
        The group.

    Raises:
        UsageProblem: if a value is none of its option's choices.
    """
    return cls(**{item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values})


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """How a checkpoint is understood."""

    dictionary: StrPath | None = option(
        None, "fairseq's dictionary.", kind=Kind.PATH, flag="--dict", unset="dict.txt beside CHECKPOINT"
    )
    bpe_dir: StrPath | None = option(
        None, "Folder with GPT-2's encoder.json and vocab.bpe.", kind=Kind.PATH, unset="no tokenizer"
    )
    sentencepiece: StrPath | None = option(
        None, "Instead: a sentencepiece model.", kind=Kind.PATH, unset="no tokenizer"
    )
    words: bool = option(False, "Instead: the dictionary holds words.", kind=Kind.FLAG, unset="no tokenizer")
    label_dict: StrPath | None = option(
        None, "fairseq's dictionary of labels (label/dict.txt).", kind=Kind.PATH, unset="LABEL_0 ..."
    )
    task: str = option(AUTO, "What the folder is for; auto: what the checkpoint was trained for.", choices=TASKS)
    head: str | None = option(None, "Which classification head.", metavar="NAME", unset="the only one")
    weights: str = option("model", "ema: the moving average that --store-ema keeps.", choices=WEIGHTS)
    activation: str | None = option(
        None, "Of DinkyTrain's DeepSpeed kernels (gelu, gelu_new), or if none is recorded.",
        choices=tuple(ACTIVATIONS), unset="as recorded",
    )  # fmt: skip
    attention_heads: int | None = option(
        None, "If the checkpoint records none.", kind=Kind.COUNT, at_least=1, unset="as recorded"
    )


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions(Options):
    """What computes the checkpoint."""

    reference: str = option(
        "builtin", "What computes CHECKPOINT: built-in code, or fairseq itself.", choices=REFERENCES
    )
    fairseq_python: StrPath | None = option(
        None, "A Python that has fairseq.", kind=Kind.PATH, metavar="PYTHON", unset="none"
    )

    def __post_init__(self) -> None:
        """Check that an interpreter is named for fairseq and for nothing else.

        Raises:
            UsageProblem: if one option is without the other, or a value is none of its option's choices.
        """
        super().__post_init__()
        if (self.reference == "fairseq") != (self.fairseq_python is not None):
            raise UsageProblem(
                "--reference fairseq and --fairseq-python PATH go together",
                advice="PATH is a Python that can import fairseq; make fairseq-env builds one",
            )


@dataclass(frozen=True, kw_only=True)
class CardOptions(Options):
    """What a user says about the model on its card."""

    card: StrPath | None = option(
        None, "Markdown of your own for the model card; its front matter goes before ours.",
        kind=Kind.PATH, metavar="FILE", unset="none",
    )  # fmt: skip
    license: str | None = option(None, "The Hub's identifier of the licence, for the card.", metavar="ID", unset="none")
    language: str | Sequence[str] = option(
        (), "ISO 639 code, for the card; may repeat.", metavar="CODE", unset="none", repeats=True
    )
    base_model: str | None = option(None, "What it was trained from, for the card.", metavar="REPO_ID", unset="none")


@dataclass(frozen=True, kw_only=True)
class InspectOptions(SourceOptions):
    """The options of `inspect`."""


@dataclass(frozen=True, kw_only=True)
class RecordOptions(ReferenceOptions, SourceOptions):
    """The options of `record`."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(CardOptions, ReferenceOptions, SourceOptions):
    """The options of `convert`."""

    allow_nonfinite: bool = option(False, "Convert weights with NaN or infinity, unjudged.", kind=Kind.FLAG)
    overwrite: bool = option(False, "Replace OUTPUT in one step if it exists.", kind=Kind.FLAG, on_card=False)
    repo_id: str | None = option(
        None, "Then push OUTPUT there; the card's code names it.",
        flag="--push", metavar="REPO_ID", unset="no", on_card=False,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FolderOnlyOptions(Options):
    """The options of `verify --folder-only`."""

    revision: str | None = option(
        None, "Branch, tag or commit of a repo on the Hub.", metavar="REV", unset="its main branch"
    )


@dataclass(frozen=True, kw_only=True)
class GoldenOptions(FolderOnlyOptions):
    """The options of `verify --golden`."""

    runtime: str = option(
        "bundled", "What computes FOLDER: the bundled model, the installed transformers, or both.", choices=RUNTIMES
    )


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(GoldenOptions, ReferenceOptions, SourceOptions):
    """The options of `verify CHECKPOINT FOLDER`."""

    compute: str = option(
        "float64", "What FOLDER computes in. float32, for large models, is judged by its rounding, which is measured.",
        choices=COMPUTE_TYPES,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublicationOptions(Options):
    """How a folder is sent to the Hub."""

    private: bool = option(False, "Create the repo as a private one.", kind=Kind.FLAG)
    pull_request: bool = option(False, "Open a pull request instead of committing.", kind=Kind.FLAG)
    retries: int = option(
        4, "How often one request is repeated that failed for a temporary reason.",
        kind=Kind.COUNT, at_least=0, at_most=20,
    )  # fmt: skip
    timeout: float = option(
        120.0, "Seconds that the Hub may be silent in the middle of a request.", kind=Kind.SECONDS, at_least=0.1
    )


@dataclass(frozen=True, kw_only=True)
class PushOptions(PublicationOptions):
    """The options of `push`."""

    revision: str | None = option(
        None, "Commit to this branch; it is created if needed.", metavar="BRANCH", unset="main"
    )
    message: str | None = option(None, "The commit's title.", unset="that prenorm made and proved it")
    dry_run: bool = option(False, "Show what would be sent, and send nothing.", kind=Kind.FLAG)
