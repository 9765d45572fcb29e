"""A sentencepiece tokenizer with fairseq's ids.

fairseq has sentencepiece cut the text into pieces, joins them with spaces, splits that at white space, and looks every piece
up in its dictionary. Here that is one `tokenizers` model: the dictionary's rows, then, as rows that the model treats as
`<unk>` (see `plan.py`), the pieces that the dictionary lacks, because they take part in the choice of pieces all the same.
A run of characters that the model does not know is one piece. Where the dictionary was counted from the encoded data, it may
have such a run as a token, which is found only if it is the whole run (other runs of several characters become one character
that nobody knows, so that their offset is that of one character).

Differences from fairseq:

- A text that spells a special token: fairseq encodes `<mask>` or `</s>` as text; here it is the token.
- Unigram: sentencepiece adds scores in 32 bits, `tokenizers` in 64; where two ways to cut a text are as likely as each other
  (the same pieces in another order), the rounding decides, and they may choose differently.
- BPE: where the same piece can be merged in two places that overlap, sentencepiece takes the left one; `tokenizers` ranks the
  two merges that make the piece. No text was found that it shows in, two thousand of two letters among them.
- A byte piece spelled out in a text (`<0x41>`) is text to sentencepiece.
- What `normalization.py` says of characters newer than the tables of `tokenizers`.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from typing import TYPE_CHECKING

from prenorm.errors import UsageProblem
from prenorm.options.spoken import spoken
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, UNK, Dictionary
from prenorm.tokenization.kinds import DictionaryKind, kind_of, meaningful_symbols, refuse_other_kind
from prenorm.tokenization.sentencepiece.model import BPE, BYTE, NORMAL, SPACE, USER_DEFINED, SentencePieceModel
from prenorm.tokenization.sentencepiece.normalization import Normalization, inside, longest_of, normalization
from prenorm.tokenization.vocabulary import Tokenization, TokenizationKind, Vocabulary, current_rows, frame, name_rows
from prenorm.tokenization.words import WHITE_SPACE

if TYPE_CHECKING:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

_RESERVED = (*SPECIAL_TOKENS, MASK_TOKEN)
_UNKNOWN_CHARACTER = "\U000e0ffe"  # unassigned, so in no piece
# Of the dictionary's tokens, the share that the model can have made; another tokenizer's have letters and numbers in common
# with it. Where hardly any token has a ▁, as in Chinese, the lines look like words, and nearly all must be the model's.
_LEAST_SHARE, _LEAST_SHARE_OF_OTHERS = 0.5, 0.9
_LONGEST_RUN = 16  # characters, of those that BPE gets all parts of


def plan_sentencepiece(dictionary: Dictionary, model: SentencePieceModel) -> Tokenization:
    """Plan the tokenizer of a model and a dictionary.

    Args:
        dictionary: fairseq's dictionary, of the model's pieces.
        model: the sentencepiece model.

    Returns:
        The tokenizer.

    Raises:
        UsageProblem: if the dictionary is another model's, or the model's normalization is damaged.
    """
    pieces = {piece.text: piece for piece in model.of_kind(NORMAL, USER_DEFINED)}
    if model.byte_fallback:
        pieces |= {piece.text: piece for piece in model.of_kind(BYTE)}
    clashes = [token for token in _RESERVED if token in pieces]
    if clashes:
        raise UsageProblem(
            f"has the special token '{clashes[0]}' as a piece of text",
            subject=model.path,
            advice=f"Leave {spoken('sentencepiece')} out: the folder then has no tokenizer",
        )
    rows = current_rows(dictionary)
    runs, unreachable = _unknown_runs(model, rows.keys() - pieces.keys() - {*_RESERVED, ""})
    _refuse_foreign(dictionary, model, {*pieces, *runs, *unreachable})
    steps = _normalization(model)
    known = {*pieces, *_RESERVED, *runs}
    tokens = name_rows(dictionary, known)
    parts = _parts(runs) if model.algorithm == BPE else []
    lacking = tuple(text for text in (*pieces, *parts) if text not in rows)
    vocabulary = Vocabulary((*tokens, *lacking), len(lacking), (*_merges(model), *_all_merges(parts)))
    fairseq_rows = {text: rows.get(text) for text in (*pieces, *_RESERVED, *sorted(runs))}
    return Tokenization(
        TokenizationKind.SENTENCEPIECE, dictionary, vocabulary, fairseq_rows,
        lambda: build_sentencepiece(vocabulary, model, steps, runs), {}, tuple(_notes(unreachable, steps)),
    )  # fmt: skip


def _refuse_foreign(dictionary: Dictionary, model: SentencePieceModel, possible: Container[str]) -> None:
    """Refuse a dictionary of which too little can be the model's output: pieces, or runs of unknown characters."""
    kind = kind_of(dictionary)
    names = meaningful_symbols(dictionary)
    common = sum(name in possible for name in names)
    least = _LEAST_SHARE if kind is DictionaryKind.PIECES else _LEAST_SHARE_OF_OTHERS
    if names and common >= least * len(names):
        return
    refuse_other_kind(dictionary, spoken("sentencepiece"), DictionaryKind.PIECES, DictionaryKind.WORDS)
    raise UsageProblem(
        f"only {common} of the dictionary's {len(dictionary)} tokens are pieces of {model.path.name}, so it belongs to "
        "another tokenizer",
        subject=dictionary.path,
        advice=f"Leave {spoken('sentencepiece')} out, or give the dictionary's own model",
    )


def _normalization(model: SentencePieceModel) -> Normalization:
    """Plan the model's normalization, or refuse the model."""
    try:
        return normalization(model.charsmap)
    except ValueError as error:
        raise UsageProblem(
            f"has a normalization that cannot be read ({error})",
            subject=model.path,
            advice="Give the .model file as sentencepiece wrote it",
        ) from error


def _unknown_runs(model: SentencePieceModel, symbols: Collection[str]) -> tuple[frozenset[str], list[str]]:
    """Return the symbols that are runs of characters unknown to the model: those that can be reproduced, and the others.

    A run is known by its characters where every character of a piece is a piece itself, as in every model that sentencepiece
    trained.
    """
    if model.byte_fallback:
        return frozenset(), []  # then nothing is unknown
    alone = _characters(model)
    runs = {symbol for symbol in symbols if not any(character in alone or character.isspace() for character in symbol)}
    if any(set(piece.text) - alone for piece in model.of_kind(NORMAL, USER_DEFINED)):
        return frozenset(), sorted(runs)
    reachable = {run for run in runs if model.algorithm != BPE or len(run) <= _LONGEST_RUN}
    return frozenset(reachable), sorted(runs - reachable)


def _parts(runs: Collection[str]) -> list[str]:
    """Return all substrings of runs, so that BPE comes to the whole run whatever it merges first."""
    parts = {run[start:end] for run in runs for start in range(len(run)) for end in range(start + 1, len(run) + 1)}
    return sorted(parts, key=lambda part: (len(part), part))


def _all_merges(parts: list[str]) -> tuple[tuple[str, str], ...]:
    """Return every way to make a part of two others."""
    return tuple((part[:cut], part[cut:]) for part in parts for cut in range(1, len(part)))


def _characters(model: SentencePieceModel) -> set[str]:
    """Return the characters that are pieces by themselves."""
    return {piece.text for piece in model.of_kind(NORMAL, USER_DEFINED) if len(piece.text) == 1}


def _notes(unreachable: list[str], steps: Normalization) -> Iterator[str]:
    """Yield what fairseq's encoding does and the tokenizer does not, a sentence each."""
    if unreachable:
        yield (
            f"{len(unreachable)} tokens of the dictionary, such as '{unreachable[0][:20]}', are runs of characters that the "
            "sentencepiece model does not know; they read as <unk>"
        )
    if steps.unexplained:
        yield (
            f"{steps.unexplained} of the sentencepiece model's rules for sequences of characters are newer than the Unicode "
            "tables of tokenizers, and do not apply"
        )


def _merges(model: SentencePieceModel) -> tuple[tuple[str, str], ...]:
    """Return, for BPE, every way to make a piece of two others, the piece with the highest score first; for unigram, none."""
    if model.algorithm != BPE:
        return ()
    normal = model.of_kind(NORMAL)
    known = {piece.text for piece in normal}
    return tuple(
        (text[:cut], text[cut:])
        for text in (piece.text for piece in sorted(normal, key=lambda piece: -piece.score))
        for cut in range(1, len(text))
        if text[:cut] in known and text[cut:] in known
    )


def build_sentencepiece(
    vocabulary: Vocabulary, model: SentencePieceModel, steps: Normalization, runs: frozenset[str]
) -> Tokenizer:
    """Build the `tokenizers` object.

    Args:
        vocabulary: the tokens by id, and the merges.
        model: the sentencepiece model.
        steps: its normalization.
        runs: the tokens that are runs of characters unknown to the model.

    Returns:
        The tokenizer.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer(_bpe(vocabulary, model) if model.algorithm == BPE else _unigram(vocabulary, model))
    tokenizer.normalizer = _normalizer(model, steps, runs)
    tokenizer.pre_tokenizer = _pre_tokenizer(model)
    tokenizer.decoder = _decoder(model)
    frame(tokenizer)
    return tokenizer


def _bpe(vocabulary: Vocabulary, model: SentencePieceModel) -> models.BPE:
    """Build the BPE model."""
    from tokenizers import models

    return models.BPE(
        vocab={token: row for row, token in enumerate(vocabulary.tokens)},
        merges=list(vocabulary.merges),
        unk_token=SPECIAL_TOKENS[UNK],
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
    )


def _unigram(vocabulary: Vocabulary, model: SentencePieceModel) -> models.Unigram:
    """Build the unigram model with sentencepiece's scores."""
    from tokenizers import models

    scores = {piece.text: piece.score for piece in model.of_kind(NORMAL)}
    best, least = max(scores.values()), min(scores.values())
    # The score of a user-defined symbol is above every way to cut it: its bytes times the best score.
    scores |= {piece.text: len(piece.text.encode()) * best - 0.1 for piece in model.of_kind(USER_DEFINED)}
    if model.byte_fallback:  # never chosen as text, if it can be helped; no score may be lower than the least
        scores |= {piece.text: least for piece in model.of_kind(BYTE)}
    return models.Unigram([(token, scores.get(token, 0.0)) for token in vocabulary.tokens], UNK, model.byte_fallback)


def _normalizer(model: SentencePieceModel, steps: Normalization, runs: frozenset[str]) -> normalizers.Normalizer:
    """Build sentencepiece's normalization, its treatment of spaces, and the replacement of unknown runs."""
    from tokenizers import Regex, normalizers

    sequence: list[normalizers.Normalizer] = list(steps.steps)
    # sentencepiece gives every text the space in front but the empty one: one that becomes empty has it, too, and
    # loses it again where spaces at the end are removed.
    if model.add_dummy_prefix and not model.remove_extra_whitespaces:
        sequence.insert(0, normalizers.Prepend(SPACE))
    if model.remove_extra_whitespaces:
        # At the end sentencepiece takes away a literal ▁, too.
        sequence += [
            normalizers.Replace(Regex(rf"\A +|[ {SPACE}]+\z"), ""),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    if model.add_dummy_prefix and model.remove_extra_whitespaces:
        sequence.append(normalizers.Prepend(SPACE))
    if runs:
        # An unknown run becomes one unknown character, except one that is a whole run of the dictionary's.
        unknown = f"[^{inside(_characters(model))}{WHITE_SPACE}]"
        others = f"(?<!{unknown})(?!{longest_of(runs)}(?!{unknown})){unknown}{{2,}}"
        sequence.append(normalizers.Replace(Regex(others), _UNKNOWN_CHARACTER))
    return normalizers.Sequence(sequence)


def _pre_tokenizer(model: SentencePieceModel) -> pre_tokenizers.PreTokenizer:
    """Build the step that makes ▁ of spaces, and splits at other white space, where fairseq splits sentencepiece's output."""
    from tokenizers import Regex, pre_tokenizers

    # Where no piece has a ▁ inside, every ▁ begins a word: the best cut of the text is that of its words, one by one.
    inner = any(SPACE in piece.text[1:] for piece in model.of_kind(NORMAL, USER_DEFINED))
    alone = any(piece.text == SPACE for piece in model.of_kind(NORMAL, USER_DEFINED))
    words = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=alone and not inner)
    if model.byte_fallback:  # they are bytes like everything unknown
        return words
    others = WHITE_SPACE.replace(r"\x{1C}-\x{20}", r"\x{1C}-\x{1F}")
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(f"[{others}]+"), "removed"), words])


def _decoder(model: SentencePieceModel) -> decoders.Decoder:
    """Build what decodes as fairseq does: pieces joined, ▁ as a space, none at the ends."""
    from tokenizers import Regex, decoders

    # Byte pieces become characters, where fairseq leaves them as they are.
    bytes_first = [decoders.ByteFallback()] if model.byte_fallback else []
    return decoders.Sequence(
        [
            *bytes_first,
            decoders.Fuse(),
            decoders.Replace(SPACE, " "),
            decoders.Replace(Regex(r"\A +| +\z"), ""),
        ]
    )
