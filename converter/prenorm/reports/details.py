"""The parts of a report that go into detail: why a folder differs, where, and what is shown beside the verdict."""

from __future__ import annotations

from msgspec import Struct

from prenorm.reports.fields import Size, Sizes
from prenorm.reports.text import count


class TensorDifference(Struct, frozen=True):
    """A target tensor with other bits than the plan makes: how many of its values differ, and what it is nearest to.

    `differing` and `first`, the index of the first value that differs, are None where they were not counted; `nearest` is
    None where no known change gives the values.
    """

    target: str
    source: str | None
    operation: str
    values: int
    differing: int | None = None
    first: tuple[int, ...] | None = None
    nearest: str | None = None

    @property
    def brief(self) -> str:
        """What the tensor is, in a few words behind its name."""
        if self.nearest is not None:
            return f"'{self.target}' {self.nearest}"
        if self.differing is None:
            return f"'{self.target}' has other bytes"
        place = "" if self.first is None else f", the first at [{', '.join(map(str, self.first))}]"
        return f"'{self.target}' differs in {self.differing:,} of {count(self.values, 'value')}{place}"

    @property
    def sentence(self) -> str:
        """What the tensor is, and what it should be."""
        planned = f"'{self.source}', {self.operation}" if self.source else self.operation
        return f"{self.brief} (planned: {planned})"


class Answer(Struct, frozen=True):
    """A token that a masked LM puts in the place of a mask, as people read it, and its probability to three digits."""

    token: str
    probability: float


class Example(Struct, frozen=True):
    """A sentence with one mask, and the best answers."""

    text: str
    answers: tuple[Answer, ...]

    @property
    def sentence(self) -> str:
        """Sentence and answers on one line."""
        return f"{self.text} – {', '.join(f'“{item.token}” {item.probability:.3f}' for item in self.answers)}"


class Diagnosis(Struct, frozen=True):
    """The first module that is further apart than its tolerance, the rule that made what differs, and what it looks like.

    The rule is that of the tensor that differs; where none does, that of the module's own tensor. None: a setting is wrong.
    """

    module: str
    rule: str | None = None
    hint: str | None = None


class NoiseFloor(Struct, frozen=True):
    """How far float32 is from float64 on the same side, by module, and for the logits."""

    modules: Sizes = {}
    logits: Size | None = None


class PositionLines(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The largest difference by module and token position, one row per module; `length` counts the tokens behind a row."""

    length: int | None = None
    modules: tuple[str, ...]
    max_abs_diff: tuple[tuple[Size, ...], ...]
