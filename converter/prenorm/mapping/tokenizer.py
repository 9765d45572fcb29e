"""Which tokenizer a folder gets: the one that an option names, else one whose files lie near the checkpoint, else GPT-2's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from prenorm.errors import HubProblem, printable
from prenorm.options import SourceOptions, as_path
from prenorm.source.arguments import Arguments
from prenorm.tokenization import Dictionary, Tokenization, TokenizationKind, gpt2, plan_tokenization
from prenorm.tokenization.nearby import Place, find_tokenizer, lacking

# Returns the folder of GPT-2's files, from the Hub or its cache; None: they would have to be fetched, and may not be here.
Gpt2Files = Callable[[], Path | None]

_GPT2 = f"GPT-2's files of {gpt2.REPO_ID} on the Hub"


@dataclass(frozen=True)
class TokenizerChoice:
    """The tokenizer that is made, and how it was come by.

    Attributes:
        tokenization: the tokenizer; None if none is made.
        files: what it is made of, in words; empty if none is made.
        nearby: the names of the files, if no option named them and they lay on this machine.
        options: the option that names files which no option named, by its field: with it the command makes the same again.
        unfit: a sentence for each file that lies nearby and is not used.
        lacking: why no tokenizer is made, unless the user wants none; empty where one is.
        fetches: whether none is made only because nothing may be fetched here.
    """

    tokenization: Tokenization | None = None
    files: str = ""
    nearby: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()
    lacking: str = ""
    fetches: bool = False

    @property
    def kind(self) -> TokenizationKind | None:
        """Which kind of tokenizer the folder gets, here or where its files may be fetched; None if it gets none."""
        if self.fetches:
            return TokenizationKind.BYTE_LEVEL
        return None if self.tokenization is None else self.tokenization.kind

    def __str__(self) -> str:
        """Return it as a phrase, such as "sentencepiece, from spm.model beside the checkpoint"."""
        return "none" if self.kind is None else f"{self.kind}, from {self.files}"


def choose_tokenizer(
    dictionary: Dictionary, options: SourceOptions, places: tuple[Place, ...], gpt2_files: Gpt2Files | None
) -> TokenizerChoice:
    """Choose the tokenizer of a dictionary.

    Args:
        dictionary: fairseq's dictionary, filled up to the embedding's rows.
        options: what the user chose about the source.
        places: where the files of a tokenizer that no option names are looked for.
        gpt2_files: returns the folder of GPT-2's files; None: they are not to be had unless an option names them.

    Returns:
        The tokenizer, or none with a warning that says why.

    Raises:
        UsageProblem: if the tokenizer that an option names does not fit the dictionary, or different files that fit it lie
            in one place.
        HubProblem: if an option names GPT-2's files, and they are not to be had.
    """
    if options.no_tokenizer:
        return TokenizerChoice()
    bpe_dir, sentencepiece = as_path(options.bpe_dir), as_path(options.sentencepiece)
    is_gpt2 = gpt2.is_name(bpe_dir)
    folder = gpt2_files() if is_gpt2 and gpt2_files is not None else bpe_dir
    named = plan_tokenization(dictionary, folder, sentencepiece, options.words)
    if named is not None:
        path = bpe_dir or sentencepiece or dictionary.path
        return TokenizerChoice(named, _GPT2 if is_gpt2 else printable(path.name or str(path)))
    nearby, unfit = find_tokenizer(dictionary, places)
    if nearby is not None:
        return TokenizerChoice(nearby.tokenization, nearby.files, nearby.names, nearby.option, unfit)
    if gpt2.is_published_dictionary(dictionary) and gpt2_files is not None:
        choice = _published(dictionary, gpt2_files)
        return replace(choice, unfit=unfit)
    return TokenizerChoice(unfit=unfit, lacking=lacking(dictionary))


def _published(dictionary: Dictionary, gpt2_files: Gpt2Files) -> TokenizerChoice:
    """Make GPT-2's tokenizer for the dictionary that fairseq publishes with it, if its files are to be had."""
    option = {"bpe_dir": Path(gpt2.NAME)}
    try:
        folder = gpt2_files()
    except HubProblem as problem:
        name = printable(dictionary.path.name)
        return TokenizerChoice(
            lacking=f"{name} is the dictionary of GPT-2's BPE, and {problem.cause}. {problem.advice}"
        )
    if folder is None:
        return TokenizerChoice(files=_GPT2, options=option, fetches=True)
    return TokenizerChoice(plan_tokenization(dictionary, folder, None, False), _GPT2, options=option)


def places_of(checkpoint: Path, arguments: Arguments) -> tuple[Place, ...]:
    """Return where the files of a checkpoint's tokenizer may lie.

    Args:
        checkpoint: its path.
        arguments: what it records; of several folders of data the first counts.

    Returns:
        Its own folder, and that of its training's data where this machine has it.
    """
    neighbourhood = Place(checkpoint.parent, "beside the checkpoint")
    recorded = arguments.find("data", "task")
    # Two slashes name another machine's folder on some systems; a checkpoint must not make this one ask there.
    if not isinstance(recorded, str) or recorded.startswith(("//", "\\\\")):
        return (neighbourhood,)
    folder = Path(recorded.split(":")[0] or ".")
    try:
        if not folder.is_dir() or folder.samefile(neighbourhood.folder):
            return (neighbourhood,)
    except (OSError, ValueError):  # a name that no folder can have
        return (neighbourhood,)
    return neighbourhood, Place(folder, f"in {printable(str(folder))}, which the training arguments record")
