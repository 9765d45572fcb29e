"""sentencepiece's normalization as a `tokenizers` normalizer that gives the same text.

sentencepiece walks through the text and replaces the longest source that begins at each place. `tokenizers` has Precompiled
for the same table, but that asks once per grapheme cluster, takes the shortest source and drops the rest of the cluster, and
looks at clusters of six bytes or more one character at a time: decomposed kana, decomposed Hangul and "ﬁ" with an accent
come out wrong. So the work is divided:

1. A guard puts a mark at every place where a replacement of sentencepiece ends and a character follows that could join it.
2. NFKC composes and decomposes between the marks, which does what the sources of several characters ask for.
3. Precompiled, which now meets single characters only, does the others; a last table takes the marks out.

Characters that NFKC changes and the model does not (`～` under nmt_nfkc) are replaced by stand-ins until NFKC is done.

What differs from sentencepiece: the text's own U+E0FFF is lost, and its own U+FFF00 to U+FFFFD may be taken for stand-ins
(one is no character, the others are for private use); sources with characters that are newer than the Unicode tables of
`tokenizers` stay as they are (`Normalization.unexplained` counts them: 393 of the 225,276 of sentencepiece 0.2.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prenorm.tokenization.sentencepiece.charsmap import read_charsmap, write_charsmap

if TYPE_CHECKING:
    from tokenizers import normalizers

_MARK = "\U000e0fff"  # unassigned, joins nothing, and ends every grapheme cluster
_STAND_INS = range(0xFFF00, 0xFFFFE)
# Characters that extend the cluster before them, or compose with it: marks, joiners, Hangul vowels and finals, halfwidth
# kana marks, skin tones, tags, Thai and Lao AM.
_JOINING = (
    r"\p{M}\x{200C}\x{200D}\x{E33}\x{EB3}\x{1160}-\x{11FF}\x{D7B0}-\x{D7FB}\x{FF9E}\x{FF9F}"
    r"\x{1F3FB}-\x{1F3FF}\x{E0020}-\x{E007F}"
)


@dataclass(frozen=True)
class Normalization:
    """sentencepiece's normalization for `tokenizers`.

    Attributes:
        steps: the normalizers, in order.
        unexplained: how many sources of several characters they do not replace.
    """

    steps: tuple[Any, ...]
    unexplained: int


@lru_cache(maxsize=4)  # the table of nmt_nfkc, which most models have, takes seconds
def normalization(charsmap: bytes) -> Normalization:
    """Plan the steps for a table of replacements.

    Args:
        charsmap: the compiled table, as a model holds it.

    Returns:
        The steps.

    Raises:
        ValueError: if the table cannot be read, or more characters need a stand-in than there are.
    """
    from tokenizers import Regex, normalizers

    rules = read_charsmap(charsmap)
    if not rules:
        return Normalization((), 0)
    several = {source: target for source, target in rules.items() if len(source) > 1}
    guard = normalizers.Replace(Regex(_guard(several)), _MARK)
    precompiled = normalizers.Precompiled(charsmap)
    if not several:
        return Normalization((guard, precompiled, _table({_MARK: ""})), 0)
    nfkc = normalizers.NFKC()
    unexplained = sum(_map(nfkc.normalize_str(source), rules) != target for source, target in several.items())
    changed = _changed_by_nfkc(nfkc, rules)
    if len(changed) > len(_STAND_INS):
        raise ValueError(f"{len(changed)} characters are normalized otherwise than by NFKC")
    stand_ins = {character: chr(place) for character, place in zip(changed, _STAND_INS, strict=False)}
    before = (_table(stand_ins),) if stand_ins else ()
    after = _table({_MARK: "", **{place: rules.get(character, character) for character, place in stand_ins.items()}})
    return Normalization((guard, *before, nfkc, precompiled, after), unexplained)


def _table(rules: Mapping[str, str]) -> normalizers.Normalizer:
    """Build a normalizer that replaces single characters."""
    from tokenizers import normalizers

    return normalizers.Precompiled(write_charsmap(rules))


def _map(text: str, rules: Mapping[str, str]) -> str:
    """Replace single characters."""
    return "".join(rules.get(character, character) for character in text)


def _changed_by_nfkc(nfkc: normalizers.Normalizer, rules: Mapping[str, str]) -> list[str]:
    """Return the characters for which NFKC followed by the table differs from the table alone."""
    changed = []
    for code in range(0x80, 0x110000):
        if 0xAC00 <= code < 0xE000 and chr(code) not in rules:  # Hangul syllables stay, and surrogates are no text
            continue
        character = chr(code)
        composed = nfkc.normalize_str(character)
        if (composed != character or character in rules) and _map(composed, rules) != rules.get(character, character):
            changed.append(character)
    return changed


def longest_of(strings: Iterable[str]) -> str:
    """Return a pattern for the longest of several strings that begins at a place.

    Args:
        strings: not empty ones.

    Returns:
        A regular expression of Oniguruma, which `tokenizers` uses, as one group.
    """
    tails: dict[str, set[str]] = defaultdict(set)
    for string in strings:
        tails[string[0]].add(string[1:])
    return f"(?:{_pattern(tails)})"


def _guard(sources: Iterable[str]) -> str:
    """Return a pattern whose match is empty, and lies where a replacement ends that a joining character follows or made."""
    tails: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        tails[source[0]].add(source[1:])
    joining = f"[{_JOINING}{inside({character for source in tails.values() for tail in source for character in tail})}]"
    anything = "(?m:.)"
    longest = f"(?:{_pattern(tails)}|{anything})" if tails else anything
    return rf"(?:(?={anything}{joining}){longest}|{joining}|\r(?=\n))\K"


def _pattern(tails: Mapping[str, set[str]]) -> str:
    """Return alternatives for the longest of several strings, given as first characters with the rests they may have.

    Characters with the same rests share an alternative.
    """
    groups: dict[frozenset[str], set[str]] = defaultdict(set)
    for first, rest in tails.items():
        groups[frozenset(rest)].add(first)
    alternatives = []
    for rests, firsts in sorted(groups.items(), key=lambda item: min(item[1])):
        longer: dict[str, set[str]] = defaultdict(set)
        for tail in rests - {""}:
            longer[tail[0]].add(tail[1:])
        following = f"(?:{_pattern(longer)})" if longer else ""
        alternatives.append(f"[{inside(firsts)}]{following}{'?' if following and '' in rests else ''}")
    return "|".join(alternatives)


def inside(characters: Iterable[str]) -> str:
    """Return the inside of a character class.

    Args:
        characters: single characters.

    Returns:
        A part of a regular expression, with neighbours as ranges.
    """
    parts: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if parts and parts[-1][1] == code - 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(rf"\x{{{low:X}}}" + (rf"-\x{{{high:X}}}" if high > low else "") for low, high in parts)
