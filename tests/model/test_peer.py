"""transformers' own tests of its models, over ours: `make peer` writes what becomes of them, and why."""

from __future__ import annotations

import pytest

from helpers.peer.table import TABLE, outcomes, table

pytestmark = pytest.mark.slow


def test_every_test_of_transformers_passes_or_has_a_reason() -> None:
    results = outcomes()
    assert {name: text for name, text in results.items() if text.startswith("FAILED")} == {}
    assert table(results) == TABLE.read_text()
