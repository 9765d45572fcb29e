"""Tries folders out under any interpreter that has transformers; started once for all of them.

Argument: a JSON file of {case: [folder, names of checks to leave out]}. Answers on stdout with the reports by case, the
version, and what was connected to.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "converter"))
sys.path.insert(0, str(Path(__file__).parents[3] / "model"))

connections: list[str] = []
sys.addaudithook(
    lambda event, found: connections.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None
)


def main() -> None:
    """Answers every case."""
    from prenorm.fitness import judge_folder

    assert "transformers" not in sys.modules, "transformers is imported before it is needed"
    cases = json.loads(Path(sys.argv[1]).read_text())
    reports = {case: judge_folder(folder, without=without).to_dict() for case, (folder, without) in cases.items()}
    json.dump({"reports": reports, "connections": connections}, sys.stdout)


main()
