"""The two tables: files that must be refused, and files whose sound model converts while nothing else in them runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .writing import Stream, as_legacy, as_zip


@dataclass(frozen=True)
class Sparse:
    """A file of `size` bytes that are zero, but for `pieces` at their offsets."""

    size: int
    pieces: dict[int, bytes]


@dataclass(frozen=True)
class HostileFile:
    """One file and what must come of it.

    `cause` is what the one sentence must say (a regular expression); for files that convert, what the warning must.
    `code` is the exit code of `convert`, and `why` says why it is not 4. A `late` file is found out by `convert` only,
    because its lie is in the weights. An `attack` runs its payload in whoever unpickles the file the usual way.
    """

    name: str
    make: Callable[[], bytes | Sparse]
    cause: str
    code: int = 4
    why: str = ""
    late: bool = False
    attack: bool = False

    def write(self, path: Path) -> None:
        content = self.make()
        with path.open("wb") as handle:
            if isinstance(content, bytes):
                handle.write(content)
                return
            handle.truncate(content.size)
            for offset, piece in content.pieces.items():
                handle.seek(offset)
                handle.write(piece)


REFUSED: dict[str, HostileFile] = {}
CONVERTED: dict[str, HostileFile] = {}


def register(
    name: str,
    make: Callable[[], bytes | Sparse],
    cause: str,
    *,
    code: int = 4,
    why: str = "",
    late: bool = False,
    attack: bool = False,
) -> None:
    """Adds a file to the table that its exit code belongs to."""
    table = CONVERTED if code == 0 else REFUSED
    if name in REFUSED or name in CONVERTED:
        raise ValueError(f"two hostile files are called {name}")
    if code not in (0, 4) and not why:
        raise ValueError(f"{name}: say why its exit code is {code}")
    table[name] = HostileFile(name, make, cause, code, why, late, attack)


def register_stream(
    name: str,
    make: Callable[[], Stream],
    cause: str,
    *,
    containers: str = "zip legacy",
    code: int = 4,
    why: str = "",
    late: bool = False,
    attack: bool = False,
) -> None:
    """Adds what is in a pickle, once per container."""
    for container in containers.split():
        write = as_zip if container == "zip" else as_legacy
        register(
            f"{name}.{container}",
            lambda write=write: write(make()),  # type: ignore[misc]
            cause,
            code=code,
            why=why,
            late=late,
            attack=attack,
        )


Bytes = Callable[[], bytes]
Streams = Callable[[], Stream]


def hostile(cause: str, **expected: object) -> Callable[[Callable[[], bytes | Sparse]], Callable[[], bytes | Sparse]]:
    """Registers a function that makes a whole file, under its own name."""

    def add(make: Callable[[], bytes | Sparse]) -> Callable[[], bytes | Sparse]:
        register(_name(make), make, cause, **expected)  # type: ignore[arg-type]
        return make

    return add


def hostile_stream(cause: str, **expected: object) -> Callable[[Streams], Streams]:
    """Registers a function that makes what is pickled, under its own name and once per container."""

    def add(make: Streams) -> Streams:
        register_stream(_name(make), make, cause, **expected)  # type: ignore[arg-type]
        return make

    return add


def _name(make: Callable[[], object]) -> str:
    module = make.__module__.rpartition(".")[2]
    return f"{module}/{make.__name__}".replace("_", "-")
