"""The position table against the arguments: what is said when they contradict each other can be so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.checkpoints import save_edited
from helpers.paths import MLM
from prenorm import inspect
from prenorm.errors import UnreadableCheckpoint
from prenorm.parts import open_checkpoint
from prenorm.source.arguments import Arguments
from prenorm.source.contents import model_tensors
from prenorm.source.layouts import normalize
from prenorm.source.positions import USUAL_PAD_ID, find_positions

ROWS, VOCABULARY = 130, 433


@pytest.mark.parametrize("stated", [512, 510, 130])
def test_more_positions_than_the_table_has_rows_blame_no_pad(stated: int, tmp_path: Path) -> None:
    def state(content: dict[str, Any]) -> None:
        content["cfg"]["model"].max_positions = stated

    found = inspect(save_edited(tmp_path / "c.pt", state))
    assert found.refusal_code == 4
    assert f"max_positions={stated}, but 'encoder.sentence_encoder.embed_positions.weight' has 130 rows" in str(
        found.refusal
    )
    assert f"with <pad> as id 1 it would have {stated + 2} rows" in str(found.refusal)
    assert "otherwise" not in str(found.refusal)
    assert "row -" not in str(found.refusal)


@settings(max_examples=100, deadline=None)
@given(stated=st.integers(1, 1000), vocabulary=st.integers(2, 600))
def test_every_id_that_is_named_can_be_the_pads(stated: int, vocabulary: int) -> None:
    tensors = normalize(model_tensors(open_checkpoint(MLM))).tensors
    arguments = Arguments("args", {"max_positions": stated})
    try:
        table, pad_id = find_positions(tensors, arguments, 48, vocabulary)
    except UnreadableCheckpoint as error:
        numbers = [int(number) for number in re.findall(r"(?:id|row) (-?\d+)", str(error))]
        assert numbers
        assert all(0 <= number < min(vocabulary, ROWS) for number in numbers)
    else:
        assert (table.rows, pad_id, stated) == (ROWS, USUAL_PAD_ID, ROWS - 2)
