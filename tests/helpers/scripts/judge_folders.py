"""Tries folders out under any interpreter that has transformers; started once for all of them.

Argument: a JSON file of {case: [folder or repo id, names of checks to leave out]}. Answers on stdout with the reports by
case, the version, and what was connected to.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "converter"))
sys.path.insert(0, str(Path(__file__).parents[3] / "model"))

connections: list[str] = []
sys.addaudithook(
    lambda event, found: connections.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None
)


def main() -> None:
    """Answers every case."""
    from prenorm.commands.opening import open_folder
    from prenorm.fitness import judge_folder

    assert "transformers" not in sys.modules, "transformers is imported before it is needed"
    cases = json.loads(Path(sys.argv[1]).read_text())
    reports = {}
    for case, (folder, without) in cases.items():
        with tempfile.TemporaryDirectory() as scratch:
            reports[case] = judge_folder(open_folder(folder, Path(scratch)), without=without).to_dict()
    json.dump({"reports": reports, "connections": connections}, sys.stdout)


main()
