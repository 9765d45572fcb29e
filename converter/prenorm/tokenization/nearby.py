"""The files of a tokenizer that nobody named: those that fit a dictionary, beside the checkpoint or with the training's data.

A file that nobody named is held against the dictionary more strictly than one that an option names: nearly every line must be
of its making.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import UsageProblem, printable
from prenorm.options.spoken import spoken
from prenorm.tokenization.bytelevel import BPE_FILES, bpe_files, plan_bytelevel, read_bpe
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, Dictionary, refuse_overwritten_specials
from prenorm.tokenization.kinds import DictionaryKind, kind_of, meaningful_symbols
from prenorm.tokenization.sentencepiece.model import read_sentencepiece
from prenorm.tokenization.sentencepiece.tokenizer import plan_sentencepiece
from prenorm.tokenization.vocabulary import Tokenization

_MODEL_SUFFIX = ".model"
_MODEL_NAME = "sentencepiece.bpe.model"  # as fairseq's XLM-R has it; any other name will do
_BPE_FOLDER = "gpt2_bpe"  # where fairseq's RoBERTa recipe puts GPT-2's files
_LEAST_SHARE = 0.99  # of the dictionary's lines must be the tokenizer's own
_MOST_FILES = 1000  # of a folder are looked at; the names of the recorded one come out of the checkpoint


@dataclass(frozen=True)
class Place:
    """A folder where a tokenizer's files are looked for, and in words where that is."""

    folder: Path
    where: str


@dataclass(frozen=True)
class NearbyTokenizer:
    """A tokenizer whose files nobody named.

    Attributes:
        tokenization: the tokenizer.
        names: of its files, in words.
        where: where they lie, in words.
        option: the option that names them, by its field, with what a command shows of its value: no name of a folder that the
            user did not type, but for the usual one.
    """

    tokenization: Tokenization
    names: str
    where: str
    option: Mapping[str, Path]

    @property
    def files(self) -> str:
        """Which files, and where they lie, in words."""
        return f"{self.names} {self.where}"


def is_tokenizer_file(name: str) -> bool:
    """Return whether a file may be of a tokenizer, by its name.

    Args:
        name: without folders.

    Returns:
        True for a sentencepiece model, and for the files of a byte-level BPE.
    """
    return name.endswith(_MODEL_SUFFIX) or any(name in pair for pair in BPE_FILES)


def find_tokenizer(dictionary: Dictionary, places: Sequence[Place]) -> tuple[NearbyTokenizer | None, tuple[str, ...]]:
    """Look for the files that a dictionary's tokenizer is made of. The first place that has some that fit counts.

    Args:
        dictionary: fairseq's dictionary.
        places: where to look.

    Returns:
        The tokenizer, if there is one; and a sentence for each candidate that does not fit, with the reason.

    Raises:
        UsageProblem: if different files in one place fit.
    """
    unfit: list[str] = []
    for place in places:
        fitting = list(_fitting(dictionary, place, unfit))
        if len(fitting) > 1:
            raise UsageProblem(
                f"{' and '.join(item.files for item in fitting)} both fit the dictionary, and they differ",
                subject=dictionary.path,
                advice=f"Say which with {spoken(next(iter(fitting[0].option)), ...)}, or give {spoken('no_tokenizer')}",
            )
        if fitting:
            return fitting[0], tuple(unfit)
    return None, tuple(unfit)


def _fitting(dictionary: Dictionary, place: Place, unfit: list[str]) -> Iterator[NearbyTokenizer]:
    """Yield the tokenizers in a place that fit, a copy of one only once; add a sentence to `unfit` for each other file."""
    seen: set[str] = set()
    for option, path, names in _candidates(kind_of(dictionary), place.folder):
        is_below = option == "bpe_dir" and path != place.folder
        named = " and ".join(map(printable, names))
        where = f"in {_BPE_FOLDER} {place.where}" if is_below else place.where
        try:
            tokenization = _plan(dictionary, path)
        except UsageProblem as problem:
            unfit.append(f"{named} {where} {'is' if len(names) == 1 else 'are'} not used: {problem.cause}")
            continue
        digest = _digest(path, names)
        if digest not in seen:
            seen.add(digest)
            value = path if is_below or option != "bpe_dir" else Path()
            yield NearbyTokenizer(tokenization, named, where, {option: value})


def lacking(dictionary: Dictionary) -> str:
    """Say what a dictionary's tokenizer would be made of, and how to give it.

    Args:
        dictionary: fairseq's dictionary, beside which no such files were found.

    Returns:
        What follows "the folder gets no tokenizer: ".
    """
    name, kind = printable(dictionary.path.name), kind_of(dictionary)
    try:
        refuse_overwritten_specials(dictionary, "the tokenizer")
    except UsageProblem as problem:
        return problem.cause
    if kind is DictionaryKind.NUMBERS:
        return (
            f"{name} holds numbers of a byte-level BPE, and no encoder.json and vocab.bpe lie beside it; "
            f"{spoken('bpe_dir', 'gpt2')} gets GPT-2's from the Hub"
        )
    if kind is DictionaryKind.PIECES:
        return (
            f"{name} holds {kind}, and no sentencepiece model that fits ({_MODEL_NAME}, or any *{_MODEL_SUFFIX}) is beside "
            f"the checkpoint; copy it there from the training data, or give it with {spoken('sentencepiece', ...)}"
        )
    if kind is DictionaryKind.WORDS:
        return (
            f"{name} seems to hold words: give {spoken('words')} if the training text was split at white space and nothing "
            f"else, or {spoken('sentencepiece', ...)} if these are the pieces of a language without spaces"
        )
    if kind is None:
        ways = f"{spoken('bpe_dir', ...)}, {spoken('sentencepiece', ...)} or {spoken('words')}"
        return f"the lines of {name} do not say what they are; give {ways}"
    return f"{name} holds {kind}, of which no tokenizer can be made here"


def _candidates(kind: DictionaryKind | None, folder: Path) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Yield the files that may be the tokenizer's: the option's field, its value, and the names of the files."""
    if kind is DictionaryKind.NUMBERS:
        for path in (folder, folder / _BPE_FOLDER):
            names = bpe_files(path)
            if names is not None:
                yield "bpe_dir", path, names
    elif kind in (DictionaryKind.PIECES, DictionaryKind.WORDS):  # pieces of a script without spaces look like words
        for path in _models(folder):
            yield "sentencepiece", path, (path.name,)


def _models(folder: Path) -> list[Path]:
    """Return the sentencepiece models of a folder, by name; none of one that cannot be read or is crowded."""
    try:
        entries = [path for path, _ in zip(folder.iterdir(), range(_MOST_FILES + 1), strict=False)]
    except OSError:
        return []
    models = [path for path in entries if path.name.endswith(_MODEL_SUFFIX) and path.is_file()]
    return sorted(models) if len(entries) <= _MOST_FILES else []


def _plan(dictionary: Dictionary, path: Path) -> Tokenization:
    """Plan the tokenizer of a model, or of a BPE's folder; refuse one that has not made nearly all of the dictionary."""
    refuse_overwritten_specials(dictionary, "the tokenizer")
    if path.is_dir():
        tokenization = plan_bytelevel(dictionary, read_bpe(path))
    else:
        tokenization = plan_sentencepiece(dictionary, read_sentencepiece(path))
    reserved = {*SPECIAL_TOKENS, MASK_TOKEN}
    made = sum(row is not None for token, row in tokenization.fairseq_rows.items() if token not in reserved)
    lines = len(meaningful_symbols(dictionary))
    if made < _LEAST_SHARE * lines:
        raise UsageProblem(f"it can have made only {made:,} of the {lines:,} tokens in {dictionary.path.name}")
    return tokenization


def _digest(path: Path, names: tuple[str, ...]) -> str:
    """Return the SHA-256 of a tokenizer's files, so that a copy is not taken for another one."""
    digest = hashlib.sha256()
    for name in names:
        file = path / name if path.is_dir() else path
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
