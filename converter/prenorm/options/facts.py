"""What is known of one option, and the check of its value: what a group of options is made of."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeAlias, TypeVar

from prenorm.errors import UsageProblem, did_you_mean, nearest
from prenorm.options.language import is_python

StrPath: TypeAlias = str | Path
_P = ParamSpec("_P")


def as_path(value: StrPath | None) -> Path | None:
    """Return a path for a path or a text, and None for None.

    Args:
        value: what a user wrote.

    Returns:
        The path.
    """
    return None if value is None else Path(value)


class Kind(Enum):
    """How a value is written: what it is called, and of which types it may be."""

    TEXT = "text", str
    PATH = "a path", str, os.PathLike
    FOLDER = "a path to a folder", str, os.PathLike
    PLACE = "a path or an address on the Hub", str, os.PathLike
    FOLDER_PLACE = "a folder or a repo id of the Hub", str, os.PathLike
    FLAG = "True or False", bool
    COUNT = "a whole number", Integral
    SECONDS = "a number", Real

    def __init__(self, words: str, *types: type) -> None:
        self.words, self.types = words, types


LOCAL = (Kind.PATH, Kind.FOLDER)  # what lies on this machine


class Section(Enum):
    """The groups in which `--help` lists options, in its order; the values are their headings."""

    INPUT = "Input"
    TOKENIZER = "Tokenizer"
    PROOF = "Proof"
    CARD = "Model card"
    HUB = "Hub"
    OUTPUT = "Output"


@dataclass(frozen=True)
class Option:
    """What is known of an option, or of an argument of the command line, besides its name and default.

    Attributes:
        help: one sentence for `--help` and for the Python documentation.
        section: where `--help` lists an option; arguments stand in a list of their own.
        kind: how its value is written.
        choices: the values it can take; empty: any of its kind.
        flag: the command line's name where it is not `--field-name`.
        metavar: what stands for the value in `--help`; None: a word for its kind, or for choices the flag's own name.
        unset: what happens without it, where the default is None and so says nothing; empty: `--help` says nothing either.
        repeats: whether it can be given several times; the value is a tuple then.
        at_least: the lower bound of a number.
        at_most: the upper bound of a number.
        on_card: whether the model card's command shows it.
        positional: whether it is an argument of the command line, known by its place.
        keyword_help: what the Python documentation says instead of `help`.
    """

    help: str
    section: Section = Section.INPUT
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()
    flag: str | None = None
    metavar: str | None = None
    unset: str | None = None
    repeats: bool = False
    at_least: float | None = None
    at_most: float | None = None
    on_card: bool = True
    positional: bool = False
    keyword_help: str | None = None

    @property
    def bounds(self) -> str:
        """What a number must be, in words."""
        ends = (("least", self.at_least), ("most", self.at_most))
        return " and ".join(f"at {word} {bound:g}" for word, bound in ends if bound is not None)


def _field_maker(facts: Callable[_P, Option]) -> Callable[Concatenate[Any, _P], Any]:
    def make(default: Any, /, *arguments: _P.args, **keywords: _P.kwargs) -> Any:
        return dataclasses.field(default=default, metadata={"option": facts(*arguments, **keywords)})

    return make


# Make a dataclass field of a default and what `Option` takes. Typed as anything, as `dataclasses.field` is, so that type
# checkers take the annotation's word.
option = _field_maker(Option)


def required(facts: Option) -> Mapping[str, Option]:
    """Return the metadata of a field that has no default.

    Args:
        facts: what is known of it.

    Returns:
        What `dataclasses.field` takes as `metadata`; type checkers need to see that function itself.
    """
    return {"option": facts}


@dataclass(frozen=True, kw_only=True, repr=False)
class OptionGroup:
    """The root of all option groups. A group checks its values, and makes paths of texts.

    Attributes:
        selected_by: the option that selects this group among a command's modes; None for the mode without such an option.
    """

    selected_by: ClassVar[str | None] = None

    def __repr__(self) -> str:
        items = (*argument_fields(type(self)), *option_fields(type(self)))
        chosen = [item.name for item in items if getattr(self, item.name) != item.default]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in chosen)})"

    def __post_init__(self) -> None:
        """Check every value against its option.

        Raises:
            UsageProblem: if a value is none of its option's choices, beyond its bounds, or of another type.
        """
        for item in _all_fields(type(self)):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))


_Group = TypeVar("_Group", bound=OptionGroup)


def _all_fields(group: type[OptionGroup]) -> list[dataclasses.Field[Any]]:
    return [item for item in dataclasses.fields(group) if "option" in item.metadata]


def option_fields(group: type[OptionGroup]) -> list[dataclasses.Field[Any]]:
    """Return the fields of a group that are options of the command line.

    Args:
        group: an option group.

    Returns:
        Its fields in their order, without its arguments.
    """
    return [item for item in _all_fields(group) if not option_of(item).positional]


def argument_fields(group: type[OptionGroup]) -> list[dataclasses.Field[Any]]:
    """Return the fields of a group that are arguments of the command line.

    Args:
        group: an option group.

    Returns:
        Its arguments in their order.
    """
    return [item for item in _all_fields(group) if option_of(item).positional]


def field_of(groups: Iterable[type[OptionGroup]], name: str) -> dataclasses.Field[Any]:
    """Return a field by its name.

    Args:
        groups: where it is looked for.
        name: of a field that one of them has.

    Returns:
        The first group's field of that name.
    """
    return next(item for group in groups for item in _all_fields(group) if item.name == name)


def option_of(item: dataclasses.Field[Any]) -> Option:
    """Return what is known of a field of an option group.

    Args:
        item: a field made by `option`, or with `required`.

    Returns:
        Its facts.
    """
    facts = item.metadata["option"]
    assert isinstance(facts, Option)
    return facts


def flag_of(item: dataclasses.Field[Any]) -> str:
    """Return the command line's name of a field: `bpe_dir` is `--bpe-dir`, the argument `output` is OUTPUT.

    Args:
        item: a field of an option group.

    Returns:
        The name.
    """
    facts = option_of(item)
    if facts.positional:
        return facts.metavar or item.name.upper()
    return facts.flag or f"--{item.name.replace('_', '-')}"


ANY_VALUE = object()  # of an option that is meant whatever its value


def field_name(item: dataclasses.Field[Any], value: object = ANY_VALUE) -> str:
    """Return what an option is called in a sentence, with its value where one is meant.

    Args:
        item: a field of an option group.
        value: the value that is meant; a flag's is always that it is set. Ellipsis for one that the reader has to choose.

    Returns:
        `--task encoder` or `task="encoder"`, `--overwrite` or `overwrite=True`, `--bpe-dir` or `bpe_dir`.
    """
    is_flag = option_of(item).kind is Kind.FLAG
    if not is_python():
        return flag_of(item) if is_flag or value in (ANY_VALUE, ...) else f"{flag_of(item)} {value}"
    if is_flag:
        return f"{item.name}=True"
    if value is ANY_VALUE:
        return item.name
    text = "..." if value is ... else f'"{value}"' if isinstance(value, str) else value
    return f"{item.name}={text}"


def bare_name(item: dataclasses.Field[Any]) -> str:
    """Return what an option is called where nothing is said of its value, or where that is wrong.

    Args:
        item: a field of an option group.

    Returns:
        `--words` or `words`.
    """
    return item.name if is_python() else flag_of(item)


def selected(group: type[_Group], values: Mapping[str, Any]) -> _Group:
    """Return a group made of those values that it has.

    Args:
        group: an option group.
        values: values by field name; names that the group lacks are passed over.

    Returns:
        The group.

    Raises:
        UsageProblem: if a value does not fit its option.
    """
    return group(**{item.name: values[item.name] for item in dataclasses.fields(group) if item.name in values})


def _checked(item: dataclasses.Field[Any], value: object) -> object:
    """Return the value in its option's type."""
    facts = option_of(item)
    if value is None and item.default is None:
        return None
    if not facts.repeats:
        return _checked_one(item, facts, value)
    values = (value,) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(values, Iterable):
        raise UsageProblem(f"{bare_name(item)} is {value!r}, not {facts.kind.words} or several")
    return tuple(_checked_one(item, facts, one) for one in values)


def _checked_one(item: dataclasses.Field[Any], facts: Option, value: object) -> object:
    if facts.choices:
        for choice in facts.choices:  # a TaskKind equals its word, which is what the option holds
            if value == choice:
                return choice
        raise UsageProblem(
            f"{bare_name(item)} is {value!r}, not one of {', '.join(facts.choices)}",
            advice=did_you_mean(nearest(str(value), facts.choices)),
        )
    if not isinstance(value, facts.kind.types) or (isinstance(value, bool) and facts.kind is not Kind.FLAG):
        raise UsageProblem(f"{bare_name(item)} is {value!r}, not {facts.kind.words}")
    if isinstance(value, Real):
        _check_bounds(item, facts, float(value))
    if isinstance(value, os.PathLike):
        return Path(value)
    # Path would take one of the slashes of an address.
    is_path = facts.kind in LOCAL or (facts.kind in (Kind.PLACE, Kind.FOLDER_PLACE) and "://" not in str(value))
    return Path(str(value)) if is_path else value


def _check_bounds(item: dataclasses.Field[Any], facts: Option, value: float) -> None:
    low, high = facts.at_least, facts.at_most
    if not (-math.inf if low is None else low) <= value <= (math.inf if high is None else high):  # holds for NaN, too
        raise UsageProblem(f"{bare_name(item)} is {value:g}; it must be {facts.bounds}")
