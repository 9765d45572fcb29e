"""What stands for the classes, functions and objects that a pickle names: text, never the thing itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class GlobalName(NamedTuple):
    """A class or function that the stream names: `module` and `name`, nothing more."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


# Shared by all that have none: a pickle may name a million objects.
_NO_ITEMS: list[object] = []
_NO_ENTRIES: dict[object, object] = {}


class Placeholder:
    """What stands for an object of a class that is not in the table: its name, and what the stream gave it.

    That is the call's arguments, the state, and for an object that is a list or a dictionary at heart (a lab's own Namespace
    may be) its items or entries.
    """

    __slots__ = ("args", "entries", "items", "name", "state")

    def __init__(self, name: GlobalName, args: object = ()) -> None:
        self.name = name
        self.args = args
        self.state: object = None
        self.items: list[object] = _NO_ITEMS
        self.entries: dict[object, object] = _NO_ENTRIES

    def add_items(self, items: list[object]) -> None:
        """Take in what the stream appends.

        Args:
            items: the items.
        """
        if self.items is _NO_ITEMS:
            self.items = []
        self.items.extend(items)

    def add_entries(self, entries: Iterable[tuple[object, object]]) -> None:
        """Take in what the stream sets by key.

        Args:
            entries: keys with their values.
        """
        if self.entries is _NO_ENTRIES:
            self.entries = {}
        self.entries.update(entries)

    def __repr__(self) -> str:
        return f"<{self.name}, not built>"
