"""What stands for the classes, functions and objects that a pickle names: text, never the thing itself."""

from __future__ import annotations

from typing import NamedTuple


class GlobalName(NamedTuple):
    """A class or function that the stream names: `module` and `name`, nothing more."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Placeholder:
    """What stands for an object of a class that is not in the table: its name, and the arguments and state it was given.

    Items that the stream appends to it or sets in it are dropped: nothing looks at them.
    """

    __slots__ = ("args", "name", "state")

    def __init__(self, name: GlobalName, args: object = ()) -> None:
        self.name = name
        self.args = args
        self.state: object = None

    def __repr__(self) -> str:
        return f"<{self.name}, not built>"
