"""The fault table: whatever goes wrong in a push, the same command finishes it, and nothing is there twice."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.hub.fault_table import play_all, rows
from helpers.hub.pushing import PushWorker
from helpers.hub.scenarios import PHASES, SCENARIOS, Scenario, Seen
from helpers.paths import OLD_HUB_PYTHON

pytestmark = pytest.mark.slow

GROUPS = [(mode, phase) for mode, phases in PHASES.items() for phase in phases]
# For the older client, every fault once, every phase more than once, and a card that the Hub refuses in every mode.
DIAGONAL = [
    scenario
    for number, scenario in enumerate(SCENARIOS)
    if number % 5 == 0
    or (scenario.phase == "commit" and ("dropped" in scenario.fault.name or "far" in scenario.fault.name))
    or (scenario.phase, scenario.fault.name) == ("validate-yaml", "400")
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushWorker]:
    served = PushWorker(Path(sys.executable), tmp_path_factory.mktemp("worker"))
    assert served.version.startswith("2.")
    yield served
    served.close()


@pytest.fixture(scope="module")
def old_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushWorker]:
    assert OLD_HUB_PYTHON.exists(), "the older huggingface_hub is not installed: run `make hub-env`"
    served = PushWorker(OLD_HUB_PYTHON, tmp_path_factory.mktemp("old-worker"))
    assert served.version.startswith("1.")
    yield served
    served.close()


def problems(seen: Seen, table: dict[str, str]) -> list[str]:
    """What is not as it must be, or not as the table says."""
    found = [f"{seen.scenario.name}: {wrong}" for wrong in seen.wrong]
    if seen.codes != (seen.scenario.code, 0):
        found.append(f"{seen.scenario.name}: exit codes {seen.codes}, not {(seen.scenario.code, 0)}: {seen.told}")
    if table.get(seen.scenario.name) != seen.row:
        found.append(f"the table says {table.get(seen.scenario.name)}, not {seen.row}: {seen.told}")
    if seen.scenario.fault.name.endswith("3600") and (seen.tries != 1 or "in 3600 s" not in seen.told):
        found.append(f"{seen.scenario.name}: does not give up at once, and say until when: {seen.told}")
    return found


def judged(scenarios: list[Scenario], worker: PushWorker, scratch: Path) -> list[str]:
    table = rows()
    return [problem for seen in play_all(scenarios, worker, scratch) for problem in problems(seen, table)]


@pytest.mark.parametrize(("mode", "phase"), GROUPS)
def test_the_same_command_finishes_and_nothing_is_there_twice(
    mode: str, phase: str, worker: PushWorker, tmp_path: Path
) -> None:
    group = [scenario for scenario in SCENARIOS if (scenario.mode, scenario.phase) == (mode, phase)]
    assert not judged(group, worker, tmp_path)


@pytest.mark.parametrize("half", [0, 1])
def test_so_with_the_older_client(half: int, old_worker: PushWorker, tmp_path: Path) -> None:
    assert {scenario.phase for scenario in DIAGONAL} == {phase for _, phase in GROUPS}
    assert {scenario.fault.name for scenario in DIAGONAL} == {scenario.fault.name for scenario in SCENARIOS}
    assert not judged(DIAGONAL[half::2], old_worker, tmp_path)


def test_the_table_has_no_other_rows() -> None:
    assert sorted(rows()) == sorted(scenario.name for scenario in SCENARIOS)
