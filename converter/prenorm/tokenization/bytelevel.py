"""The tokenizer: GPT-2's byte-level BPE, with fairseq's ids.

fairseq encodes a text with GPT-2's BPE and looks each BPE token up in its dictionary; a token that is not there becomes
`<unk>`, one each. Here both steps are one `tokenizers` model whose vocabulary is the dictionary:

- a BPE token of the dictionary has the dictionary's row as its id;
- one that the dictionary lacks stays out of the vocabulary, so that its bytes read as `<unk>`; but where a merge makes it
  or uses it, `tokenizers` wants it in the vocabulary, and so does the count of `<unk>`s: those few get rows behind the last
  one, which the model treats as `<unk>` (see `plan.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.errors import UsageProblem
from prenorm.files import readable
from prenorm.options.spoken import spoken
from prenorm.tokenization.dictionary import BOS, EOS, MASK_TOKEN, SPECIAL_TOKENS, UNK, Dictionary
from prenorm.tokenization.kinds import DictionaryKind, meaningful_symbols, refuse_other_kind
from prenorm.tokenization.vocabulary import Tokenization, TokenizationKind, Vocabulary, add_special_tokens, current_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ENCODER_FILE, _MERGES_FILE = "encoder.json", "vocab.bpe"
# The names of the two files: fairseq's, and Hugging Face's of the same content. The first pair that a folder has counts.
BPE_FILES = ((_ENCODER_FILE, _MERGES_FILE), ("vocab.json", "merges.txt"))
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class BytePairEncoding:
    """GPT-2's files: `ids` from token to BPE id (encoder.json), `merges` by falling priority (vocab.bpe)."""

    ids: dict[str, int]
    merges: tuple[tuple[str, str], ...]


def bpe_files(folder: Path) -> tuple[str, str] | None:
    """Return the names of the two files that a folder has of a byte-level BPE.

    Args:
        folder: where they may lie.

    Returns:
        `encoder.json` and `vocab.bpe`, else `vocab.json` and `merges.txt`; None if neither pair is there.
    """
    return next((pair for pair in BPE_FILES if all((folder / name).is_file() for name in pair)), None)


def read_bpe(folder: Path) -> BytePairEncoding:
    """Read `encoder.json` and `vocab.bpe`, or `vocab.json` and `merges.txt`.

    Args:
        folder: where they lie.

    Returns:
        Their content.

    Raises:
        UsageProblem: if a file is missing or damaged, a merge makes a token that encoder.json does not have, or vocab.json
            numbers a model's rows.
    """
    encoder_file, merges_file = bpe_files(folder) or BPE_FILES[0]
    encoder = folder / encoder_file
    try:
        raw = json.loads(_read_text(encoder))
    except (ValueError, RecursionError) as error:
        raise UsageProblem(f"is no JSON ({error})", subject=encoder, advice=_advice()) from error
    if not isinstance(raw, dict) or not all(type(number) is int for number in raw.values()) or not raw:
        raise UsageProblem("is no table from tokens to numbers", subject=encoder, advice=_advice())
    if len(set(raw.values())) != len(raw):
        raise UsageProblem("gives two tokens one number", subject=encoder, advice=_advice())
    bpe = BytePairEncoding(raw, _read_merges(folder / merges_file, raw, encoder_file))
    if encoder_file != _ENCODER_FILE:
        _refuse_rows(encoder, bpe)
    return bpe


def _refuse_rows(path: Path, bpe: BytePairEncoding) -> None:
    """Refuse a vocab.json as RoBERTa's model folders have it: its numbers are rows of the dictionary, not the dictionary's.

    Training numbers a token when a merge makes it, so the BPE's own numbers rise with the merges.
    """
    numbers = [bpe.ids[token] for token in dict.fromkeys("".join(merge) for merge in bpe.merges)]
    if numbers != sorted(numbers):
        raise UsageProblem(
            "does not number its tokens by its merges: these are the rows of a model, as RoBERTa's vocab.json has them, and "
            "not the numbers of a BPE",
            subject=path,
            advice="Give the folder of the BPE that the training data were encoded with; "
            f"{spoken('bpe_dir', 'gpt2')} gets GPT-2's",
        )


def _read_merges(path: Path, ids: Mapping[str, int], encoder_file: str) -> tuple[tuple[str, str], ...]:
    """Read the merges that fairseq uses, by falling priority.

    fairseq's `gpt2_bpe_utils.get_encoder` drops the first and the last piece of the file split at newlines, whatever they
    hold: without the line `#version` the first merge, without a newline at the end the last. Of a merge that comes twice,
    the later line counts.

    Args:
        path: vocab.bpe.
        ids: the tokens of encoder.json.
        encoder_file: the name of that file.

    Returns:
        Pairs of tokens.

    Raises:
        UsageProblem: if a line is no merge of two tokens, or its order is none that `tokenizers` can follow.
    """
    lines: dict[tuple[str, str], int] = {}
    for number, line in enumerate(_read_text(path).split("\n")[1:-1], 2):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2 or "".join(parts) not in ids or not ids.keys() >= set(parts):
            raise UsageProblem(
                f"line {number} is no merge of two tokens of {encoder_file}: '{line[:60]}'",
                subject=path,
                advice=_advice(),
            )
        pair = (parts[0], parts[1])
        lines.pop(pair, None)
        lines[pair] = number
    _refuse_disorder(path, lines)
    return tuple(lines)


def _refuse_disorder(path: Path, lines: Mapping[tuple[str, str], int]) -> None:
    """Refuse merges of which one makes a token that one before it uses.

    fairseq merges a pair everywhere before it looks for the next pair, `tokenizers` uses the new token at once. Where every
    token is made before it is used, as in training, both come to the same.
    """
    used: dict[str, int] = {}
    for (left, right), number in lines.items():
        token = left + right
        if token in used:
            raise UsageProblem(
                f"line {number} makes '{token[:40]}', which line {used[token]} uses before, and tokenizers cannot merge in "
                "fairseq's order",
                subject=path,
                advice=f"Give vocab.bpe as it was trained. Without {spoken('bpe_dir')} the folder has no tokenizer",
            )
        used.setdefault(left, number)
        used.setdefault(right, number)


def _advice() -> str:
    return (
        f"{spoken('bpe_dir')} needs {_ENCODER_FILE} and {_MERGES_FILE} (or vocab.json and merges.txt), as used for the "
        f"training data; {spoken('bpe_dir', 'gpt2')} gets GPT-2's"
    )


_LEAST_SHARE = (
    0.9  # of the dictionary's numbers are in encoder.json; another BPE's have small numbers in common with it
)


def _read_text(path: Path) -> str:
    """Return the text of a file of the BPE."""
    with readable(path, _MAX_BYTES, "a BPE file", _advice()):
        return path.read_text(encoding="utf-8")


def plan_bytelevel(dictionary: Dictionary, bpe: BytePairEncoding) -> Tokenization:
    """Plan the tokenizer of a dictionary of BPE numbers.

    Args:
        dictionary: fairseq's dictionary.
        bpe: the BPE that the numbers are of.

    Returns:
        The tokenizer.

    Raises:
        UsageProblem: if the dictionary belongs to another tokenizer.
    """
    vocabulary = plan_vocabulary(dictionary, bpe)
    rows = current_rows(dictionary)
    fairseq_rows = {token: rows.get(str(bpe.ids[token])) for token in _emitted(bpe)}
    fairseq_rows |= {token: rows[token] for token in (*SPECIAL_TOKENS, MASK_TOKEN)}
    return Tokenization(
        TokenizationKind.BYTE_LEVEL, dictionary, vocabulary, fairseq_rows, lambda: build_tokenizer(vocabulary),
        {"add_prefix_space": False},
    )  # fmt: skip


def plan_vocabulary(dictionary: Dictionary, bpe: BytePairEncoding) -> Vocabulary:
    """Plan the vocabulary that gives fairseq's ids.

    Args:
        dictionary: fairseq's dictionary.
        bpe: the BPE that its numbers are of.

    Returns:
        The vocabulary, whose last rows are BPE tokens that the dictionary lacks and a merge makes or uses.

    Raises:
        UsageProblem: if the dictionary holds something else than this BPE's numbers, so that it belongs to another
            tokenizer, or a merge makes a special token.
    """
    from tokenizers import pre_tokenizers

    fixed = {*SPECIAL_TOKENS, MASK_TOKEN}
    clashes = sorted(fixed & {left + right for left, right in bpe.merges})
    if clashes:
        raise UsageProblem(
            f"a merge makes a BPE token with the name of the special token '{clashes[0]}'",
            subject=_MERGES_FILE,
            advice=_advice(),
        )
    _refuse_foreign(dictionary, bpe)
    by_number = {str(bpe.ids[token]): token for token in _emitted(bpe)}
    tokens: list[str] = []
    taken = {*bpe.ids, *fixed, *pre_tokenizers.ByteLevel.alphabet(), ""}
    last_row = current_rows(dictionary)
    for row, symbol in enumerate(dictionary.symbols):
        # Of a token that the dictionary overwrites, only the last row is ever used.
        current = last_row[symbol] == row
        if current and symbol in fixed:
            tokens.append(symbol)
        elif current and symbol in by_number:
            tokens.append(by_number[symbol])
        else:
            tokens.append(_unused_name(symbol, taken))
    known = set(tokens)
    merged = {part for left, right in bpe.merges for part in (left, right, left + right)}
    extra = sorted(merged - known, key=bpe.ids.__getitem__)
    return Vocabulary((*tokens, *extra), len(extra), bpe.merges)


def _emitted(bpe: BytePairEncoding) -> list[str]:
    """Return the tokens of encoder.json, without those that no merge makes and the vocabulary has no place for.

    Files that `tokenizers` trained have `<s>` to `<mask>` there, fairseq never emits their numbers. Nor those of tokens that
    are empty or no text (a lone surrogate).
    """
    return [
        token
        for token in bpe.ids
        if token and token not in (*SPECIAL_TOKENS, MASK_TOKEN) and token.encode(errors="ignore").decode() == token
    ]


def _refuse_foreign(dictionary: Dictionary, bpe: BytePairEncoding) -> None:
    """Refuse a dictionary that does not hold this BPE's numbers."""
    refuse_other_kind(dictionary, spoken("bpe_dir"), DictionaryKind.NUMBERS)
    names = [name for name in meaningful_symbols(dictionary) if name.isdigit()]
    numbers = {*map(str, bpe.ids.values())}
    known = sum(name in numbers for name in names)
    if names and known >= _LEAST_SHARE * len(names):
        return
    share = f"only {known} of its {len(names)} numbers are in" if known else "it holds none of the numbers of"
    raise UsageProblem(
        f"the dictionary belongs to another tokenizer: {share} {_ENCODER_FILE}",
        subject=dictionary.path,
        advice=f"Leave {spoken('bpe_dir')} out, or give the dictionary's own BPE",
    )


def _unused_name(symbol: str, taken: set[str]) -> str:
    """Return a token for a row that no text reaches (such as `madeupword0001`), different from all others."""
    name = symbol
    while name in taken:
        name = f"<{name}>"
    taken.add(name)
    return name


def build_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """Build the `tokenizers` object: `<s> a </s>`, pairs as `<s> a </s></s> b </s>`, `<mask>` with the space before it.

    Args:
        vocabulary: the tokens by id, and the merges.

    Returns:
        The tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: row for row, token in enumerate(vocabulary.tokens)},
            merges=list(vocabulary.merges),
            unk_token=SPECIAL_TOKENS[UNK],
            fuse_unk=False,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (SPECIAL_TOKENS[EOS], EOS), (SPECIAL_TOKENS[BOS], BOS), trim_offsets=True, add_prefix_space=False
    )
    add_special_tokens(tokenizer)
    return tokenizer
