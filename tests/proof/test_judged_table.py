"""What in a folder is judged by what: every planted fault is killed, or named as not judged, by each way to judge."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from helpers.judged_table import FAULTS, Fault, Sound, cells_of, parse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound.make(tmp_path_factory.mktemp("judged"))


@pytest.mark.parametrize("number", range(5))
def test_every_fault_is_killed_or_named(number: int, sound: Sound, tmp_path: Path) -> None:
    table = parse()
    assert set(table) == {(fault.file, fault.name) for fault in FAULTS}
    some: list[Fault] = list(itertools.islice(FAULTS, number, None, 5))
    for fault in some:
        place = tmp_path / f"{fault.file} {fault.name}".replace("/", "-")
        place.mkdir()
        cells = cells_of(fault, sound, place)
        assert "MISSED" not in cells, fault
        assert cells == table[fault.file, fault.name], fault
