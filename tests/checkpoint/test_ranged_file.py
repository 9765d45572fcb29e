"""Files that are fetched as they are read: the same tensors as of the whole file, and hostile ones hurt no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from helpers.hostile.corpus import CONVERTED, REFUSED
from helpers.paths import FIXTURES
from prenorm.checkpoint import Checkpoint, LazyTensor, RangedFile, open_file
from prenorm.checkpoint.tensors import bytes_of, fetch
from prenorm.errors import UnreadableCheckpoint
from prenorm.files.spans import Range, Spans

FILES = sorted(path for path in FIXTURES.glob("variants/*/*.pt"))[::8]
LEGACY = [FIXTURES / "variants" / name / "checkpoint.pt" for name in ("legacy-container", "old-names-legacy-container")]
HOSTILE = [name for name in {**REFUSED, **CONVERTED} if name.partition("/")[0] in ("zips", "zip-ends", "legacies")]


class Copied:
    """The bytes of a file beside, copied when they are asked for. What was not asked for is no byte of the file."""

    def __init__(self, original: Path, local: Path) -> None:
        self.content = original.read_bytes()
        self.size = len(self.content)
        self.local, self.there, self.requests = local, Spans(), 0
        local.write_bytes(bytes(byte ^ 0xFF for byte in self.content) if self.size < 1 << 20 else b"\xff" * self.size)

    def fetch(self, ranges: Sequence[Range], tick: Callable[[int], None] | None = None) -> None:
        with self.local.open("r+b") as file:
            for start, end in ranges:
                assert 0 <= start <= end <= self.size
                if not self.there.covers(start, end):
                    self.requests += 1
                    self.there.add(start, end)
                    file.seek(start)
                    file.write(self.content[start:end])

    def missing(self, ranges: Sequence[Range]) -> int:
        return sum(end - start for one in ranges for start, end in self.there.missing(*one))

    def forget(self) -> None:
        self.there = Spans()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual sizes are larger than these files."""
    for name in ("ranged_file._LEAST", "ranged_file._HEAD", "zip._TAIL", "legacy._AHEAD"):
        monkeypatch.setattr(f"prenorm.checkpoint.container.{name}", 64)


def by_ranges(path: Path, tmp_path: Path, *, is_only_looked_at: bool = False) -> tuple[Checkpoint, Copied]:
    source = Copied(path, tmp_path / f"local-{path.name}")
    opened = open_file(
        source.local, lambda local: RangedFile(local, source, is_only_looked_at=is_only_looked_at)
    )  # fmt: skip
    return opened, source


def weights(checkpoint: Checkpoint) -> dict[str, LazyTensor]:
    model = checkpoint.content.get("model")
    return {key: item for key, item in model.items() if isinstance(item, LazyTensor)} if isinstance(model, dict) else {}


@pytest.mark.parametrize("path", [*FILES, *LEGACY], ids=lambda path: path.parent.name)
def test_tensors_are_those_of_the_whole_file(path: Path, tmp_path: Path) -> None:
    whole = open_file(path)
    ranged, source = by_ranges(path, tmp_path)
    assert (ranged.container, ranged.globals) == (whole.container, whole.globals)
    assert [*weights(ranged)] == [*weights(whole)] and str(ranged.content) == str(whole.content)
    opened = source.there.total
    assert opened < source.size or not weights(whole)
    fetch(weights(ranged).values())
    requests = source.requests
    for key, tensor in weights(whole).items():
        assert bytes_of(weights(ranged)[key]) == bytes_of(tensor), key
        ranged.check_integrity(weights(ranged)[key])
    assert source.requests == requests  # no check needs a byte that was not fetched with the weights
    assert isinstance(ranged.file, RangedFile) and ranged.file.seen.total <= source.there.total


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pt"
    ({**REFUSED, **CONVERTED})[name].write(path)
    try:
        ranged, source = by_ranges(path, tmp_path)
        for tensor in weights(ranged).values():
            bytes_of(tensor)
            ranged.check_integrity(tensor)
    except UnreadableCheckpoint:
        return
    whole = open_file(path) if name in CONVERTED else None
    if whole is not None:
        assert {key: bytes_of(tensor) for key, tensor in weights(ranged).items()} == {
            key: bytes_of(tensor) for key, tensor in weights(whole).items()
        }
    assert source.requests < 200
