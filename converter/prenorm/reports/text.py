"""Words and numbers of a report, made safe to show.

A checkpoint's file name and keys come from whoever made it. Each form escapes its own syntax; here goes what no form can
show honestly: control characters, halves of surrogate pairs, and characters that turn or hide text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from prenorm.words import Worded

# Controls (C0, DEL, C1), line and paragraph separators, zero-width and direction marks, byte-order mark, surrogates,
# noncharacters and tags. XML 1.0 forbids some of them; the direction marks could make "failed" read otherwise.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufdd0-\ufdef"
    "\ufff0-\uffff\U000e0000-\U000e0fff]"
)


_LABELS = {
    "sha256": "SHA-256",
    "announced_sha256": "SHA-256 of the whole file, announced by the Hub and not checked",
    "seen": "read from the Hub",
    "tensor_bytes": "of the weights",
    "tensor_sha256": "SHA-256 of the weights' bytes",
    "max_abs_diff": "largest difference",
    "mean_abs_diff": "mean difference",
    "rmse": "RMSE",
    "kl_mean": "mean KL divergence (nats)",
    "kl_max": "largest KL divergence (nats)",
    "top1_agreement": "share with the same best token",
    "vocab_size": "vocabulary rows",
    "nonfinite_reference": "NaN or infinite in the reference",
    "nonfinite_target": "NaN or infinite in the folder",
}


class Outcome(Worded):
    """How one check, or the whole proof, ended. The value is the word that reports show."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"
    NOT_RUN = "not run"


def verdict_in_words(outcome: Outcome, unjudged: Sequence[str]) -> str:
    """Write a verdict with the parts of the folder that it does not cover.

    Args:
        outcome: how the proof ended.
        unjudged: the parts that were not judged.

    Returns:
        Such as 'passed, tokenizer and code not judged'; of an outcome that is not passed, the outcome alone.
    """
    if outcome is not Outcome.PASSED or not unjudged:
        return outcome.value
    *others, last = unjudged
    return f"{outcome.value}, {', '.join(others)}{' and ' if others else ''}{last} {Outcome.NOT_JUDGED.value}"


def says_passed(verdict: str) -> bool:
    """Return whether a stored verdict is that of a proof that passed, whatever it did not cover.

    Args:
        verdict: as it stands in a report.

    Returns:
        True for 'passed', and for 'passed, ... not judged'.
    """
    start, end = f"{Outcome.PASSED.value}, ", f" {Outcome.NOT_JUDGED.value}"
    return verdict == Outcome.PASSED.value or (verdict.startswith(start) and verdict.endswith(end))


def visible(text: str, limit: int | None = None) -> str:
    r"""Spell out every character of a text that cannot be seen or that turns others around, such as `\x07` or `\u202e`.

    Args:
        text: any text.
        limit: the most characters; the middle of a longer text is left out.

    Returns:
        The text on one line.
    """
    if limit is not None and len(text) > limit:
        left = (limit - 1) // 2
        text = text[:left] + "…" + text[len(text) - (limit - 1 - left) :]
    return _INVISIBLE.sub(_escaped, text)


def _escaped(matched: re.Match[str]) -> str:
    code = ord(matched[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: float | None) -> str:
    """Write a difference or tolerance with two digits and an exponent.

    Args:
        value: the number; None where there is none.

    Returns:
        Such as '1.0e-09', '0', 'NaN'; empty for None.
    """
    if value is None:
        return ""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "0" if value == 0 else f"{value:.1e}"


def times(factor: float) -> str:
    """Write by which factor two numbers differ, rounded down, so that it is no less.

    Args:
        factor: at least 1, and finite.

    Returns:
        Such as '1.5 million times', '730 times' or '1.2 times'.
    """
    units = ((" trillion", 10**12), (" billion", 10**9), (" million", 10**6), ("", 1))
    unit, size = next(pair for pair in units if factor >= pair[1] or pair[1] == 1)
    amount = factor / size
    step = 10.0 ** (math.floor(math.log10(amount)) - 1)  # of the second digit
    rounded = math.floor(amount / step * (1 + 1e-12)) * step
    return f"{rounded:,.0f}{unit} times" if step >= 1 else f"{rounded:.1f}{unit} times"


def count(amount: int, noun: str) -> str:
    """Write an amount with its noun.

    Args:
        amount: how many.
        noun: what, in the singular.

    Returns:
        Such as '1 tensor' or '2 tensors'.
    """
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def fact(value: object) -> str:
    """Write any value of the report for people; it is not yet made visible.

    Args:
        value: plain data.

    Returns:
        The text.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else number(_as_float(value))
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{label(str(key))} {fact(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(fact, value)) or "none"
    return str(value)


def exact(value: object) -> str:
    """Write any value of the report for machines: numbers with all their digits, words as in JSON.

    Args:
        value: plain data.

    Returns:
        The text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(exact, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={exact(item)}" for key, item in value.items())
    if isinstance(value, float) and not math.isfinite(value):
        return number(value)
    return {None: "", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)


def label(key: str) -> str:
    """Return a key of the report as words.

    Args:
        key: the key.

    Returns:
        The words.
    """
    return _LABELS.get(key, key.replace("_", " "))


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_number(value: object) -> float | None:
    """Read a number of the report, also one that JSON has as a text.

    Args:
        value: plain data.

    Returns:
        The number; None for anything else.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _as_float(value)
    if isinstance(value, float):
        return value
    return (
        {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value) if isinstance(value, str) else None
    )
