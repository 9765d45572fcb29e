"""Whole tensors from pieces: every way that fairscale can cut them, and rows of the whole from the pieces they lie in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.part_files import SHARD, save_shards
from prenorm.parts import open_checkpoint
from prenorm.parts.grid import Counts, find_files
from prenorm.parts.model_parallel import CUTS, join_parts, vocabulary_multiple
from prenorm.parts.names import PartName
from prenorm.rules.derived import JoinedTensor
from prenorm.rules.rules import match
from prenorm.source.arguments import Arguments
from prenorm.source.contents import model_tensors
from prenorm.tokenization.dictionary import Dictionary, check_rows, fill_up

SHAPES = st.lists(st.lists(st.integers(1, 5), max_size=3), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, count=st.integers(1, 7), half=st.booleans())
def test_shards_give_back_what_was_cut(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[list[int]], count: int, half: bool
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    draw = torch.Generator().manual_seed(len(shapes))
    tensors = {f"t{n}": torch.randn(shape, generator=draw) for n, shape in enumerate(shapes)}
    if half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    buffers = {"version": torch.tensor([3.0])}
    save_shards(folder, tensors, count, buffers)
    found = model_tensors(open_checkpoint(folder / SHARD.format(count - 1)))
    assert found.keys() == {*tensors, *buffers}
    for name, tensor in {**tensors, **buffers}.items():
        assert found[name].read().dtype == tensor.dtype
        assert torch.equal(found[name].read(), tensor)
        assert b"".join(bytes(piece) for piece in found[name].chunks()) == tensor.numpy().tobytes()
        for start in range(len(tensor) if tensor.dim() else 0):
            for length in range(len(tensor) - start + 1):
                rows = found[name].narrow(start, length)
                assert torch.equal(rows.read(), tensor[start : start + length])
                assert rows.shape == tensor[start : start + length].shape


def test_padding_can_fill_whole_shards(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.tensor([[7.0], [8.0]])}
    path = save_shards(tmp_path, tensors, 4)  # 5 numbers in 4 shards of 2: the last holds nothing
    found = model_tensors(open_checkpoint(path))
    assert [len(found[name].views) for name in "ab"] == [2, 2]
    assert torch.equal(found["b"].read(), tensors["b"])


def test_rows_come_from_the_pieces_they_lie_in(tmp_path: Path) -> None:
    whole = torch.arange(48.0).reshape(12, 4)
    found = model_tensors(open_checkpoint(save_shards(tmp_path, {"a": whole}, 5)))["a"]  # pieces of 10: 2 1/2 rows
    assert isinstance(found, JoinedTensor)
    assert [len(found.narrow(row, 1).views) for row in range(12)] == [1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert torch.equal(found.narrow(2, 4).narrow(1, 2).read(), whole[3:5])


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_of_parts(axis: int, tmp_path: Path) -> None:
    whole = torch.arange(48.0).reshape(12, 4)
    torch.save({"model": {str(n): piece.clone() for n, piece in enumerate(whole.chunk(2, axis))}}, tmp_path / "a.pt")
    pieces = tuple(model_tensors(open_checkpoint(tmp_path / "a.pt")).values())
    joined = JoinedTensor(pieces, axis, (12, 4))
    assert torch.equal(joined.read(), whole)
    assert b"".join(bytes(piece) for piece in joined.chunks()) == whole.numpy().tobytes()
    for start, length in ((0, 12), (5, 3), (11, 1), (4, 0)):
        rows = joined.narrow(start, length)
        assert torch.equal(rows.read(), whole[start : start + length])
        assert b"".join(bytes(piece) for piece in rows.chunks()) == whole[start : start + length].numpy().tobytes()


def test_every_family_is_cut_by_one_rule_only() -> None:
    for cut in CUTS:
        key = cut.source.format(n=3, p="bias", rest="weight", head="tone")
        assert [other for other in CUTS if match(other.source, key) is not None] == [cut], key


LAYER = "encoder.sentence_encoder.layers.0."


def test_the_copies_of_fairseq_0_12_are_joined_as_what_they_copy(tmp_path: Path) -> None:
    shapes = {"in_proj_weight": (6, 4), "in_proj_bias": (6,), "out_proj_weight": (4, 2), "out_proj_bias": (4,),
              "fc1_weight": (8, 4), "fc1_bias": (8,), "fc2_weight": (4, 8), "fc2_bias": (4,)}  # fmt: skip
    tensors: dict[str, Tensor] = {LAYER + name: torch.zeros(shape) for name, shape in shapes.items()}
    tensors["encoder.sentence_encoder.layer_norm.weight"] = torch.ones(4)
    parts, files = [], []
    for number in range(2):
        torch.save({"model": tensors}, tmp_path / f"{number}.pt")
        opened = open_checkpoint(tmp_path / f"{number}.pt")
        parts.append(model_tensors(opened))
        files.append([opened.file])
    whole = {key.removeprefix(LAYER): tensor.shape for key, tensor in join_parts(parts, files).items()}
    assert [whole[name] for name in shapes] == [(12, 4), (12,), (4, 4), (4,), (16, 4), (16,), (4, 16), (4,)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("checkpoint_last-shard0.pt", PartName("checkpoint_last", None, 0)),
        ("checkpoint_3_1500-model_part-12.pt", PartName("checkpoint_3_1500", 12, None)),
        ("a-model_part-1-shard10.pt", PartName("a", 1, 10)),
        ("a-shard1-shard2.pt", PartName("a-shard1", None, 2)),
        ("checkpoint_last.pt", None),
        ("a-shard01.pt", None),
        ("a-shard1.bin", None),
        ("a-shard1234567.pt", None),
        ("-shard1.pt", None),
        ("a-shard1\N{ARABIC-INDIC DIGIT ONE}.pt", None),
    ],
)
def test_names(name: str, expected: PartName | None) -> None:
    assert PartName.of(name) == expected
    if expected is not None:
        assert expected.sibling(expected.part or 0, expected.shard or 0) == name


def test_a_whole_grid_of_files(tmp_path: Path) -> None:
    names = [f"a-model_part-{part}-shard{shard}.pt" for part in range(2) for shard in range(12)]
    for name in names:
        (tmp_path / name).touch()
    name = PartName.of(names[0])
    assert name is not None
    for counts in (Counts(), Counts(2), Counts(2, 12)):
        grid = find_files(tmp_path / names[0], name, counts)
        assert [path.name for shards in grid.paths for path in shards] == names
        assert grid.words == "2 model-parallel parts of 12 FSDP shards"


def arguments(arch: str | None, size: int | None) -> Arguments:
    return Arguments("args", {"arch": arch, "model_parallel_size": size})


@pytest.mark.parametrize(
    ("arch", "size", "multiple"),
    [("roberta_base", 1, 1), (None, None, 1), ("model_parallel_roberta", 1, 8), ("model_parallel_roberta_large", 4, 32),
     (None, 2, 16), ("roberta_base", 1 << 60, 1 << 63)],
)  # fmt: skip
def test_vocabulary_multiple(arch: str | None, size: int | None, multiple: int) -> None:
    assert vocabulary_multiple(arguments(arch, size)) == multiple


def test_the_dictionary_is_filled_up_as_fairseq_does(tmp_path: Path) -> None:
    plain = Dictionary(tmp_path, ("<s>", "<pad>", "</s>", "<unk>", "7", "madeupword0001", "<mask>"))
    filled = fill_up(plain, 16, 16)
    check_rows(filled, 16)
    assert filled.symbols[:9] == (*plain.symbols, "madeupword0000", "madeupword0002")
    assert filled.symbols[15] == "madeupword0009"
    for rows, multiple in ((7, 16), (8, 1), (32, 16), (15, 16), (16, 1 << 60)):
        assert fill_up(plain, rows, multiple) is plain
