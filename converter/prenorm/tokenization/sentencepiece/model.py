"""A sentencepiece model file: its pieces, its normalization, and a refusal of what a `tokenizers` model cannot hold.

The file is a protocol-buffer message. Field numbers and defaults are those of sentencepiece's `sentencepiece_model.proto`
(https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.files import readable
from prenorm.options.spoken import spoken
from prenorm.tokenization.sentencepiece.wire import Value, fields

SPACE = "\u2581"  # what a space is in a piece
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types of a piece
UNIGRAM, BPE = 1, 2
_ALGORITHMS = {UNIGRAM: "unigram", BPE: "bpe", 3: "word", 4: "char"}
_MOST_BYTES = 256 << 20


def _leave_out() -> str:
    return f"Leave {spoken('sentencepiece')} out: the folder then has no tokenizer"


def _advice() -> str:
    return f"{spoken('sentencepiece')} needs the .model file that the training data were encoded with"


@dataclass(frozen=True)
class Piece:
    """One piece. `score`: log probability (unigram), or minus the rank of the merge that makes it (BPE)."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """What encoding depends on.

    Attributes:
        path: the file.
        algorithm: UNIGRAM or BPE.
        pieces: all pieces in the model's order.
        charsmap: the compiled normalization, empty if there is none.
        add_dummy_prefix: whether a text gets a space in front.
        remove_extra_whitespaces: whether spaces at the ends, and all but one of several, are removed.
        byte_fallback: whether an unknown character becomes its bytes.
    """

    path: Path
    algorithm: int
    pieces: tuple[Piece, ...]
    charsmap: bytes = field(repr=False)
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    byte_fallback: bool

    def of_kind(self, *kinds: int) -> list[Piece]:
        """Return the pieces of some types.

        Args:
            *kinds: types of pieces, such as NORMAL.

        Returns:
            Pieces in the model's order.
        """
        return [piece for piece in self.pieces if piece.kind in kinds]


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a model.

    Args:
        path: the .model file.

    Returns:
        What encoding depends on.

    Raises:
        UsageProblem: if it cannot be read, is no sentencepiece model, or encodes in a way that `tokenizers` has nothing for.
    """
    with readable(path, _MOST_BYTES, "a sentencepiece model", _advice()):
        content = path.read_bytes()
    try:
        model, trainer, normalizer = _parse(content)
        pieces = tuple(_piece(item) for item in model)
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise UsageProblem(f"is no sentencepiece model ({error})", subject=path, advice=_advice()) from error
    charsmap = normalizer.get(2, b"")
    sentencepiece = SentencePieceModel(
        path,
        int(trainer.get(3, UNIGRAM)),
        pieces,
        charsmap if isinstance(charsmap, bytes) else b"",
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        byte_fallback=bool(trainer.get(35, 0)),
    )
    _check(sentencepiece, trainer, normalizer)
    return sentencepiece


Fields = dict[int, Value]


def _parse(content: bytes) -> tuple[list[bytes], Fields, Fields]:
    """Return the pieces' messages, and the fields of trainer_spec and normalizer_spec."""
    messages: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for number, value in fields(content):
        if number in messages:
            if not isinstance(value, bytes):
                raise ValueError(f"field {number} is no message")
            messages[number].append(value)
    if not messages[1]:
        raise ValueError("it has no pieces")
    trainer, normalizer = (dict(chain(*map(fields, messages[number]))) for number in (2, 3))
    return messages[1], trainer, normalizer


def _piece(message: bytes) -> Piece:
    """Return the piece that a message describes."""
    values = dict(fields(message))
    text, score, kind = values.get(1, b""), values.get(2, 0.0), values.get(3, NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, float) or not isinstance(kind, int):
        raise ValueError("a piece has a field of another type")
    if not text or not math.isfinite(score) or not NORMAL <= kind <= BYTE:
        raise ValueError(f"the piece {text[:40]!r} has score {score} and type {kind}")
    return Piece(text.decode("utf-8"), score, kind)


def _check(model: SentencePieceModel, trainer: Fields, normalizer: Fields) -> None:
    """Refuse a model whose encoding `tokenizers` cannot reproduce exactly."""
    seen: set[str] = set()
    for piece in model.pieces:
        if piece.text in seen:
            raise UsageProblem(f"has the piece '{piece.text}' twice", subject=model.path, advice=_advice())
        seen.add(piece.text)
    kinds = [piece.kind for piece in model.pieces]
    characters = {piece.text for piece in model.pieces if len(piece.text) == 1}
    reasons = (
        (model.algorithm not in (UNIGRAM, BPE),
         f"is a model of type {_ALGORITHMS.get(model.algorithm, model.algorithm)}; only unigram and bpe can be held"),
        (kinds.count(UNKNOWN) != 1, f"has {kinds.count(UNKNOWN)} pieces for the unknown; it must have one"),
        (not model.of_kind(NORMAL), "has no piece of text"),
        (UNUSED in kinds, "has pieces marked as unused, which sentencepiece takes apart again"),
        (bool(trainer.get(24, 0)), "treats the space as a suffix (treat_whitespace_as_suffix)"),
        (not normalizer.get(5, 1), "keeps spaces in its pieces (escape_whitespaces is off), which fairseq splits at"),
        (model.algorithm == BPE and bool(model.of_kind(USER_DEFINED)),
         "is a BPE model with user-defined symbols, which no merge may touch"),
        (model.algorithm == BPE and any(set(piece.text) - characters for piece in model.of_kind(NORMAL)),
         "is a BPE model whose pieces have characters that are no pieces themselves"),
    )  # fmt: skip
    for applies, reason in reasons:
        if applies:
            raise UsageProblem(reason, subject=model.path, advice=_leave_out())
    for piece in model.of_kind(NORMAL, USER_DEFINED):
        if any(character.isspace() for character in piece.text):
            raise UsageProblem(
                f"has a piece with a white-space character, {piece.text!r}, which fairseq splits it at",
                subject=model.path,
                advice=_leave_out(),
            )
