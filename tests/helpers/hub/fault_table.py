"""The fault table as a file: what came of every fault in every phase of a push.

`make tables` writes it; the tests compare with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers.paths import TESTS

from .pushing import PushWorker
from .scenarios import ATTEMPTS, SCENARIOS, Scenario, Seen, play

TABLE = TESTS / "hub" / "fault_table.md"
TOGETHER = 12
_HEAD = f"""# What becomes of a push when something goes wrong

Each fault was played by the loopback Hub in one phase of a push, which may try {ATTEMPTS} times; then the same command was
run again without a fault. Exit code 0 is done, 2 the card's to mend, 5 a refusal or a Hub that does not answer. Requests are
those of the phase that the server saw in the first run. Duplicates are commits, or pull requests, beyond the one meant.
After every row the repo held just the folder, and no output a token or a signed address.
Written by `make tables`.

| fault | phase | mode | first run | same command again | requests | duplicates | folder untouched |
|---|---|---|---|---|---|---|---|
"""


def play_all(scenarios: Iterable[Scenario], worker: PushWorker, scratch: Path) -> list[Seen]:
    """Several at a time: most of a fault is waiting."""
    numbered = list(enumerate(scenarios))
    with ThreadPoolExecutor(TOGETHER) as threads:
        return list(threads.map(lambda item: play(item[1], worker, scratch / str(item[0])), numbered))


def rows() -> dict[str, str]:
    """The table's rows by fault, phase and mode."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [line.removeprefix("| ").removesuffix(" |") for line in lines if line.startswith("| ")]
    return {" | ".join(row.split(" | ")[:3]): row for row in rows if not row.startswith("fault")}


def main() -> None:
    """Plays every scenario and writes what came of it."""
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        worker = PushWorker(Path(sys.executable), Path(scratch) / "worker")
        seen = play_all(SCENARIOS, worker, Path(scratch))
        worker.close()
    for one in seen:
        if one.wrong or one.codes != (one.scenario.code, 0):
            print(one.scenario.name, one.codes, one.wrong, one.told, sep="\n    ")
    TABLE.write_text(_HEAD + "".join(f"| {one.row} |\n" for one in seen), encoding="utf-8")


if __name__ == "__main__":
    main()
