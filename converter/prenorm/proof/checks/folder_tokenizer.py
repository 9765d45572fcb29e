"""What anybody's tokenizer is judged by: the files that an option names, else the dictionary alone, else nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prenorm.files import TOKENIZER_FILE
from prenorm.proof.checks.tokenizer import check_tokenizer, unreadable
from prenorm.reports.model import Check
from prenorm.tokenization import Derived, Dictionary, Tokenization, derive_tokenization

TOKENIZER = "tokenizer"
_NO_DICTIONARY = "there is no dictionary to hold it against; give fairseq's dict.txt with --dict"
NO_TOKENIZER = f"the folder has no {TOKENIZER_FILE}"


@dataclass(frozen=True)
class FolderTokenizer:
    """What a folder's tokenizer is judged by.

    Attributes:
        tokenization: the tokenizer that the folder must have; None if there is none to compare with.
        problem: why the folder's cannot be right, where that is known without comparing; empty: nothing is.
        recorded: the check against what was recorded, and its sentences, where that was done.
        rows: what is not judged, for the report.
    """

    tokenization: Tokenization | None = None
    problem: str = ""
    recorded: tuple[Check, list[str]] | None = None
    rows: tuple[Check, ...] = ()

    @property
    def is_judged(self) -> bool:
        """Whether there is something to say about it."""
        return self.tokenization is not None or bool(self.problem) or self.recorded is not None

    def check(self, folder: Path, longest: int) -> tuple[Check, list[str]] | None:
        """Judge the tokenizer.

        Args:
            folder: the folder.
            longest: how many tokens the model takes.

        Returns:
            The check and its sentences; None if it is not judged.
        """
        if self.tokenization is not None:
            return check_tokenizer(folder, self.tokenization, longest, self.problem)
        if not self.problem:
            return self.recorded
        metrics = {"tokens": 0, "wrong": 0, "disagreements": 1}
        return Check("tokenizer ids", False, metrics), [f"tokenizer: {self.problem}"]


def not_judged(reason: str) -> Check:
    """Return the row of a tokenizer that was not judged.

    Args:
        reason: why, and what to give.

    Returns:
        The row.
    """
    return Check.not_judged(TOKENIZER, reason, counts=True)


def tokenizer_by_dictionary(folder: Path, named: Tokenization | None, dictionary: Dictionary | None) -> FolderTokenizer:
    """Find out what a folder's tokenizer is judged by.

    Args:
        folder: the folder.
        named: the tokenizer that an option names, if one does.
        dictionary: fairseq's dictionary, if there is one.

    Returns:
        That tokenizer; else what the dictionary says of the folder's own; else why it is not judged.
    """
    if named is not None:
        return FolderTokenizer(named)
    if not (folder / TOKENIZER_FILE).is_file():
        return FolderTokenizer(rows=(not_judged(NO_TOKENIZER),))
    if problem := unreadable(folder):
        return FolderTokenizer(problem=problem)
    if dictionary is None:
        return FolderTokenizer(rows=(not_judged(_NO_DICTIONARY),))
    derived: Derived = derive_tokenization(dictionary, folder / TOKENIZER_FILE)
    if derived.reason:
        return FolderTokenizer(rows=(not_judged(derived.reason),))
    rest = tuple(Check.not_judged(part.name, part.reason, counts=part.counts) for part in derived.rest)
    return FolderTokenizer(derived.tokenization, derived.problem, rows=rest)
