"""The table of what transformers documents and this package has is the one that is written."""

from __future__ import annotations

import pytest

from helpers import documented_table

pytestmark = pytest.mark.slow  # it imports all frameworks


def test_the_table_is_as_written() -> None:
    assert documented_table.TABLE.read_text(encoding="utf-8") == documented_table.render(), "run `make tables`"


def test_all_classes_arguments_outputs_and_examples_are_the_same() -> None:
    """Reasons are for what is inherited."""
    for owner, what, name, _, here in documented_table.rows():
        if what != "inherited":
            assert here == "same" or here.startswith("run by"), (owner, what, name)


def test_what_is_missing_without_a_reason_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documented_table, "_REASONS", {})
    with pytest.raises(LookupError, match="is documented, is not here, and no reason is known"):
        documented_table.render()


def test_another_default_is_an_error() -> None:
    with pytest.raises(LookupError, match="layer_norm_eps is 1e-05 here and 1e-12 there"):
        documented_table.same("layer_norm_eps", "1e-12", {"layer_norm_eps": 1e-5})
