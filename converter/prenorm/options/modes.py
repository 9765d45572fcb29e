"""The ways to call one command: each is an option group, and an option of another way is an error, never ignored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prenorm.errors import UsageProblem
from prenorm.options.facts import OptionGroup, argument_fields, bare_name, field_of, option_fields

# A tuple of groups, with the type of each: the Python function's signatures are made from these types.
_Groups = TypeVar("_Groups", bound=tuple[Any, ...], covariant=True)


@dataclass(frozen=True)
class Modes(Generic[_Groups]):
    """The option groups of one command, the one without a selecting option first.

    Attributes:
        groups: the modes.
        purpose: what every mode needs, as a sentence for the user who chose none or several.
        advice: the calls there are.
        metavar: what stands for the arguments in `--help`, where the modes have different ones.
    """

    groups: _Groups
    purpose: str = ""
    advice: str = ""
    metavar: str = ""

    def choose(self, explicit: Collection[str]) -> Any:
        """Return the mode that the options select.

        Args:
            explicit: the field names of the options that the user gave, whatever their values.

        Returns:
            The group, one of the types in `groups`; it has all these options.

        Raises:
            UsageProblem: if several modes are selected, or the selected one cannot use an option.
        """
        chosen: list[type[OptionGroup]]
        chosen = [group for group in self.groups if group.selected_by in explicit] or [self.groups[0]]
        if len(chosen) > 1:
            raise self.misuse()
        for name in explicit:
            if name not in {item.name for item in (*argument_fields(chosen[0]), *option_fields(chosen[0]))}:
                raise self._useless(name, chosen[0])
        return chosen[0]

    def misuse(self) -> UsageProblem:
        """Return the error for arguments that fit no mode.

        Returns:
            The error, to be raised.
        """
        return UsageProblem(self.purpose, advice=self.advice)

    def _useless(self, name: str, group: type[OptionGroup]) -> UsageProblem:
        """Return the error for an option that a mode cannot use: which option rules it out, or which one it needs."""
        subject = bare_name(field_of(self.groups, name))
        if group.selected_by is not None:
            selector = bare_name(field_of([group], group.selected_by))
            return UsageProblem(f"cannot be used with {selector}", subject=subject, advice="Leave it out")
        needed = next(item for item in self.groups if name in {field.name for field in option_fields(item)})
        selector = bare_name(field_of([needed], str(needed.selected_by)))
        return UsageProblem(
            f"has no effect without {selector}", subject=subject, advice=f"Leave it out, or add {selector}"
        )
