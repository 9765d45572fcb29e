"""Faults that are small, or at long range only, are caught in both schedules, as far from their limits as the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.distance_table import distance, is_as_before, judged, make_long, parse
from helpers.folder_faults import Fault
from helpers.precise_faults import PRECISE_FAULTS
from prenorm import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_long(tmp_path_factory.mktemp("long"))


@pytest.mark.parametrize("exhaustive", [False, True], ids=["stagewise", "exhaustive"])
def test_without_a_fault_it_passes(long_model: tuple[Path, Path], exhaustive: bool) -> None:
    report = verify(*long_model, exhaustive=exhaustive)
    assert report.passed
    assert all(line.max_abs_diff < 0.2 * line.tolerance for line in report.modules)


@pytest.mark.parametrize("exhaustive", [False, True], ids=["stagewise", "exhaustive"])
@pytest.mark.parametrize("fault", PRECISE_FAULTS, ids=lambda fault: fault.name)
def test_fault_is_killed(fault: Fault, exhaustive: bool, long_model: tuple[Path, Path], tmp_path: Path) -> None:
    report = judged(fault, *long_model, tmp_path, exhaustive=exhaustive)
    failed = {check.name for check in report.checks if not check.passed}
    assert set(fault.seen_by) <= failed
    assert float(distance(report)) > 3
    assert is_as_before(distance(report), parse()[fault.name][exhaustive])
