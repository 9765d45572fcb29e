"""What becomes of transformers' tests of its models over our classes, as a table. `make peer` writes it; a test compares."""

from __future__ import annotations

import re
import sys
import unittest
import warnings
from collections import Counter
from typing import Any

import torch
import transformers

from helpers.paths import TESTS
from helpers.peer.cases import cases
from helpers.peer.reasons import REASONS

TABLE = TESTS / "model" / "peer_table.md"
_HEAD = """# transformers' own tests over our classes

`ModelTesterMixin` and `ConfigTester` of transformers {version}, from the source distribution of the package registry, over
the seven classes and the config of `prenorm_model`; `tests/helpers/peer/adapter.py` has all that is added to them. A skipped
test gives its own reason, one that does not apply ours: it fails, and the reason says why that is right. In brackets: of how
many parameters. Written by `make peer`.

{counts}

| test | outcome |
|---|---|
"""


class Outcomes(unittest.TestResult):
    """Keeps an outcome for every test; of the faults of a test's parts the first."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        self.outcomes[_name(test)] = "passed"

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802 - unittest's name
        name = _name(test)
        if self.outcomes[name] == "passed":
            fault = f"FAILED: {err[0].__name__}: {str(err[1]).splitlines()[0] if str(err[1]) else ''}"
            self.outcomes[name] = f"does not apply: {REASONS[name]}" if name in REASONS else fault

    addError = addFailure  # noqa: N815 - unittest's name

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.addFailure(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 - unittest's name
        if self.outcomes[_name(test)] == "passed":
            self.outcomes[_name(test)] = "skipped: " + re.sub(r"<class .*\.(.*).>", r"`\1`", reason)


def _name(test: unittest.TestCase) -> str:
    whole = getattr(test, "test_case", test)  # of a part of a test, the test
    return whole.id().rpartition(".")[2]


def outcomes() -> dict[str, str]:
    """Return what becomes of each test: passed, skipped, does not apply, or FAILED, each but the first with a reason."""
    result = Outcomes()
    loader = unittest.TestLoader()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unittest.TestSuite([loader.loadTestsFromTestCase(case) for case in cases()]).run(result)
    stale = {name for name in REASONS if result.outcomes.get(name, "").partition(":")[0] != "does not apply"}
    return {**result.outcomes, **dict.fromkeys(stale, "FAILED: has a reason not to apply, but no need of one")}


def table(results: dict[str, str]) -> str:
    """Return the table; parameters of one test with one outcome are one row."""
    rows = Counter((re.sub(r"(?<!attn)_\d+(_\w+)?$", "", name), outcome) for name, outcome in results.items())
    kinds = Counter(outcome.partition(":")[0] for outcome in results.values())
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items(), key=lambda item: -item[1]))
    lines = [
        f"| {name}{f' ({number})' if number > 1 else ''} | {outcome} |"
        for (name, outcome), number in sorted(rows.items())
    ]
    return _HEAD.format(version=transformers.__version__, counts=counts + ".") + "\n".join(lines) + "\n"


if __name__ == "__main__":
    results = outcomes()
    TABLE.write_text(table(results))
    sys.exit("\n".join(f"{name}: {text}" for name, text in results.items() if text.startswith("FAILED")))
