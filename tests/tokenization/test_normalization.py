"""sentencepiece's normalization, rule by rule, and what `tokenizers`' own Precompiled makes of it."""

from __future__ import annotations

from functools import cache

import pytest
from tokenizers import normalizers

from helpers.tokenizer_cases import MODELS, UNIGRAM
from prenorm.tokenization.sentencepiece.charsmap import read_charsmap, write_charsmap
from prenorm.tokenization.sentencepiece.model import read_sentencepiece
from prenorm.tokenization.sentencepiece.normalization import normalization


@cache
def table() -> tuple[dict[str, str], bytes]:
    """nmt_nfkc, as a table and as the model has it."""
    charsmap = read_sentencepiece(MODELS[UNIGRAM]).charsmap
    return read_charsmap(charsmap), charsmap


def longest_first(text: str, rules: dict[str, str]) -> str:
    """What sentencepiece does: the longest source at every place."""
    parts, at = [], 0
    while at < len(text):
        size = next((size for size in (4, 3, 2) if text[at : at + size] in rules and at + size <= len(text)), 1)
        parts.append(rules.get(text[at : at + size], text[at : at + size]))
        at += size
    return "".join(parts)


def test_every_rule_applies_but_those_newer_than_the_tables_of_tokenizers() -> None:
    rules, charsmap = table()
    found = normalization(charsmap)
    normalizer = normalizers.Sequence(list(found.steps))
    wrong = [source for source, target in rules.items() if normalizer.normalize_str(source) != target]
    assert len(rules) == 225276
    assert len(wrong) == found.unexplained
    assert found.unexplained <= 393  # of Unicode 14 to 17


def test_precompiled_alone_gets_most_long_sources_wrong() -> None:
    rules, charsmap = table()
    alone = normalizers.Precompiled(charsmap)
    long = [source for source in rules if len(source) > 1]
    assert len(long) == 220267
    assert sum(alone.normalize_str(source) != rules[source] for source in long) > 200_000
    assert [alone.normalize_str(text) for text in ("か\u3099", "ﬁ\u0301")] == ["か\u3099", "fi"]


CROSSING = ("か\u3099ラス", "ﬁ\u0301", "e\u0301\u0323", "ê\u0323", "\u1100\u1161\u11a8", "ｶﾞ～", "a\r\nb")


@pytest.mark.parametrize("text", [*CROSSING, "\u0301a", "´\u0301", "\u0958\u0344"])
def test_places_where_clusters_and_sources_cross(text: str) -> None:
    rules, charsmap = table()
    normalizer = normalizers.Sequence(list(normalization(charsmap).steps))
    assert normalizer.normalize_str(text) == longest_first(text, rules)


@pytest.mark.parametrize("joining", ["\u200d", "\u0301", "\U0001f3fd", "\u0e33"])
def test_a_table_of_single_characters_keeps_what_joins_them(joining: str) -> None:
    rules = {"A": "a", "B": "bb"}
    normalizer = normalizers.Sequence(list(normalization(write_charsmap(rules)).steps))
    assert normalizer.normalize_str(f"A{joining}B{joining}c") == f"a{joining}bb{joining}c"


def test_a_written_table_reads_back_and_is_used() -> None:
    rules = {
        chr(code): chr(code + 1) * (code % 3)
        for code in (*range(0x41, 0x7A), *range(0x3041, 0x3090), 0x1F600, 0x10FFFD)
    }
    assert read_charsmap(write_charsmap(rules)) == rules
    used = normalizers.Precompiled(write_charsmap(rules))
    assert [used.normalize_str(source) for source in rules] == list(rules.values())


@pytest.mark.parametrize("size", [1, 5, 9, 100, 1000, 100_000])
def test_a_cut_or_filled_table_is_an_error(size: int) -> None:
    _, charsmap = table()
    for blob in (charsmap[:size], charsmap[:4] + b"\xff" * size, charsmap[:4] + charsmap[4 : 4 + size] * 3):
        with pytest.raises(ValueError, match=r"normalization|utf-8"):
            read_charsmap(blob)
