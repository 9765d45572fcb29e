"""Checksums beside a computation: what they are of, and how long torch leaves them a core."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers.paths import MLM
from prenorm.folder.digests import Digests
from prenorm.parts import open_checkpoint

SIZE = MLM.stat().st_size


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_a_core_is_left_for_as_many_stages_as_the_work_is_worth() -> None:
    seen: list[int] = []
    with Digests(open_checkpoint(MLM)) as digests:
        tick = digests.share_cores(lambda steps: seen.append(torch.get_num_threads()), 10, 26 * SIZE / 0.3)
        seen.append(torch.get_num_threads())
        for _ in range(9):
            tick(1)
    assert seen == [3, 3, 3, 4, 4, 4, 4, 4, 4, 4]


@pytest.mark.usefixtures("four_threads")
def test_little_work_takes_no_core_and_an_error_gives_it_back() -> None:
    with Digests(open_checkpoint(MLM)) as digests:
        digests.share_cores(lambda steps: None, 10, 26 * SIZE / 0.04)
        assert torch.get_num_threads() == 4
    with pytest.raises(RuntimeError), Digests(open_checkpoint(MLM)) as digests:
        digests.share_cores(lambda steps: None, 10, SIZE)
        assert torch.get_num_threads() == 3
        raise RuntimeError
    assert torch.get_num_threads() == 4


def test_checkpoint_and_folder_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one")
    with Digests(open_checkpoint(MLM)) as digests:
        digests.hash_folder(tmp_path)
        sources, files = digests.result()
    assert sources == [{"sha256": hashlib.sha256(MLM.read_bytes()).hexdigest()}]
    assert files == {"one.txt": hashlib.sha256(b"one").hexdigest()}
