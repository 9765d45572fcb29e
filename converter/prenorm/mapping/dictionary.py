"""Which dictionary a checkpoint's rows belong to: the one that an option names, else one that lies near the checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prenorm.errors import UsageProblem, printable
from prenorm.options import SourceOptions, as_path
from prenorm.options.spoken import spoken
from prenorm.source.description import SourceDescription
from prenorm.source.positions import USUAL_PAD_ID
from prenorm.tokenization import named_options
from prenorm.tokenization.dictionary import (
    DICTIONARY_FILE,
    MASK_TOKEN,
    SPECIAL_TOKENS,
    Dictionary,
    check_rows,
    fill_up,
    read_dictionary,
)
from prenorm.tokenization.nearby import Place


@dataclass(frozen=True)
class DictionaryChoice:
    """The dictionary that is used, and how it was come by.

    Attributes:
        dictionary: with a symbol for each of the embedding's rows; None if there is none that fits.
        tokens: how many the file lists, without the special ones.
        where: where it lies, in words; empty if an option names it.
        options: the option that names it, by its field, if a command elsewhere would not find it beside the checkpoint.
        unfit: a sentence for each file that lies nearby and is not used.
    """

    dictionary: Dictionary | None = None
    tokens: int = 0
    where: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """How many tokens it lists, in words."""
        return f"{self.tokens:,} token{'' if self.tokens == 1 else 's'}"

    def __str__(self) -> str:
        """Return it as a phrase, such as "dict.txt beside the checkpoint, 50,260 tokens"."""
        if self.dictionary is None:
            return "none"
        return f"{printable(self.dictionary.path.name)}{self.where and ' ' + self.where}, {self.size}"


def choose_dictionary(
    places: Sequence[Place], options: SourceOptions, description: SourceDescription, multiple: int = 1
) -> DictionaryChoice:
    """Read the dictionary, if there is one; refuse one that is named and does not fit, and options that need one.

    Args:
        places: where one that no option names is looked for: the checkpoint's folder first.
        options: what the user chose about the source.
        description: the model.
        multiple: what fairseq filled the dictionary up to a multiple of, for this model.

    Returns:
        The dictionary, or none.

    Raises:
        UsageProblem: if the dictionary is missing where an option needs it, or does not fit.
    """
    named = named_options(as_path(options.bpe_dir), as_path(options.sentencepiece), options.words)
    if description.pad_id != USUAL_PAD_ID:
        if named or options.dictionary is not None:
            raise UsageProblem(
                f"the pad has id {description.pad_id}, so the dictionary's first rows are not <s> <pad> </s> <unk>, and no "
                "tokenizer can be made of it",
                advice=f"Leave {spoken('dictionary')} and {named or spoken('bpe_dir')} out",
            )
        return DictionaryChoice()
    if options.dictionary is not None:
        return DictionaryChoice(*_fitting(Path(options.dictionary), description.vocab_size, multiple))
    problems: list[UsageProblem] = []
    unfit: list[str] = []
    for place in places:
        path = place.folder / DICTIONARY_FILE
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a folder that is closed to this user
            continue
        try:
            dictionary, tokens = _fitting(path, description.vocab_size, multiple)
        except UsageProblem as problem:
            problems.append(problem)
            unfit.append(f"{DICTIONARY_FILE} {place.where} is not used: {problem.cause}")
            continue
        option = {} if place is places[0] else {"dictionary": path}
        return DictionaryChoice(dictionary, tokens, place.where, option, tuple(unfit))
    if named:  # one that nobody named is a reason to refuse only what needs it
        missing = UsageProblem(
            f"{named} needs fairseq's dictionary, and there is no {DICTIONARY_FILE} beside the checkpoint",
            advice=f"Give it with {spoken('dictionary', ...)}",
        )
        raise next(iter(problems), missing)
    return DictionaryChoice(unfit=tuple(unfit))


def _fitting(path: Path, rows: int, multiple: int) -> tuple[Dictionary, int]:
    """Return the dictionary of a file with a symbol for each row, and how many tokens the file lists; refuse a misfit."""
    dictionary = read_dictionary(path)
    tokens = len({*dictionary.symbols} - {*SPECIAL_TOKENS, MASK_TOKEN})
    filled = fill_up(dictionary, rows, multiple)
    check_rows(filled, rows)
    return filled, tokens
