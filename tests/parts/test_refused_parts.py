"""Files that are no parts of one checkpoint: one clear sentence, exit code 4, at once, and no folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import load_trusted
from helpers.commands import run_command
from helpers.part_files import ENCODER, PART, SHARD, Edit, copy, parameter_facts
from helpers.processor import at_most
from prenorm import convert
from prenorm.errors import NotRepresentable, UnreadableCheckpoint
from prenorm.parts import open_checkpoint

Content = dict[str, Any]
FLAT = "encoder.sentence_encoder.layers.1.flat_param_0"
NORM = ENCODER + "layers.1.final_layer_norm.weight"


def section(name: str, key: str, value: object) -> Edit:
    return lambda content: content["cfg"][name].update({key: value})


def model_argument(key: str, value: object) -> Edit:
    return lambda content: setattr(content["cfg"]["model"], key, value)


def facts(**changes: object) -> Edit:
    return lambda content: parameter_facts(content, 2).update(changes)


def first_of(key: str, value: object) -> Edit:
    """The first entry of one of the lists that the metadata has for layer 1's flat parameter."""

    def change(content: Content) -> None:
        entries = list(parameter_facts(content, 2)[key])
        parameter_facts(content, 2)[key] = [value, *entries[1:]]

    return change


def wrapper(key: str, value: object) -> Edit:
    return lambda content: content["fsdp_metadata"]["param_metadata"][2].update({key: value})


def tensor(key: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    return lambda content: content["model"].update({key: change(content["model"][key])})


def updates(content: Content) -> None:
    content["optimizer_history"][-1]["num_updates"] = 9


def one_more_row(content: Content) -> None:
    """A shape and its count that fit each other, and not the numbers that are there."""
    first_of("shapes", torch.Size([17, 16]))(content)
    first_of("numels", 272)(content)


def strided(content: Content) -> None:
    content["model"][FLAT] = torch.zeros(2224)[::2]


# Of the fixture fsdp-shards, both shards or only the second edited.
SHARDS: dict[str, tuple[Edit, bool, str]] = {
    "other updates": (updates, True, "num_updates is 9, not 8"),
    "other width": (model_argument("encoder_embed_dim", 32), True, "encoder_embed_dim is 32, not 16"),
    "no arguments": (lambda content: content.pop("cfg"), True, "encoder_layers is None, not 2"),
    "more processes": (section("distributed_training", "distributed_world_size", 3), False, "shard2.pt is missing"),
    "fewer processes": (section("distributed_training", "distributed_world_size", 1), False, "there is also"),
    "endless processes": (section("distributed_training", "distributed_world_size", 1 << 60), False, "and 115"),
    "parts recorded": (section("common", "model_parallel_size", 2), False, "shard1.pt"),
    "another's rank": (section("distributed_training", "distributed_rank", 0), True, "process 0 of the run saved it"),
    "no metadata": (lambda content: content.pop("fsdp_metadata"), True, "it has no 'fsdp_metadata'"),
    "metadata of no kind": (lambda content: content.update(fsdp_metadata=5), False, "the whole is no dictionary"),
    "no wrappers": (lambda content: content["fsdp_metadata"].pop("param_metadata"), False, "param_metadata is no list"),
    "wrapper of no kind": (lambda content: content["fsdp_metadata"]["param_metadata"].append(1), False, "no dictionary"),
    "experts": (wrapper("no_broadcast_optim_state", True), False, "mixture of experts"),
    "path of no kind": (wrapper("fsdp_path", 7), False, "7 is no name"),
    "endless path": (wrapper("fsdp_path", "x" * 5000), False, "is no name"),
    "shared from nowhere": (wrapper("shared_param_info", [("a", "b")]), False, "which is not there"),
    "shared thrice": (wrapper("shared_param_info", [("a", "b", "c")]), False, "no pair"),
    "shared with a name there is": (
        wrapper("shared_param_info", [("fc1.bias", "fc2.bias")]), False, "fc2.bias' is there twice"),
    "numels that do not add up": (first_of("numels", 255), False, "has shape [16, 16] and 255 numbers"),
    "more than is there": (one_more_row, False, "should hold 2240 numbers, and 2 shards of 1112 are no even cut"),
    "overflowing shape": (
        first_of("shapes", torch.Size([1 << 61, 1 << 61])), False, "[2305843009213693952, 2305843009213693952] and"),
    "overflowing count": (first_of("numels", 1 << 200), False, "is no count"),
    "negative shape": (first_of("shapes", [-16, -16]), False, "-16 is no count"),
    "shape of truths": (first_of("shapes", [True, 256]), False, "True is no count"),
    "shape of text": (first_of("shapes", "16"), False, "a shape is no list"),
    "endless shape": (first_of("shapes", [1] * 40), False, "a shape has 40 dimensions"),
    "empty parameter": (first_of("shapes", [0, 1 << 60]), False, "and 256 numbers"),
    "one name too few": (lambda content: parameter_facts(content, 2)["names"].pop(), False, "15 names, 16 shapes"),
    "name of no kind": (first_of("names", 3), False, "3 is no name"),
    "name there twice": (first_of("names", "fc1.bias"), False, "fc1.bias' is there twice"),
    "padding that is none": (facts(padding=1), True, "is said to end in 1 padding numbers; it ends in 0"),
    "padding beyond all": (facts(padding=1 << 61), True, "padding numbers; it ends in 0"),
    "negative padding": (facts(padding=-1), True, "-1 is no count"),
    "metadata of others": (first_of("names", "other.weight"), True, "its fsdp_metadata is not that of"),
    "missing tensor": (lambda content: content["model"].pop(FLAT), True, "it has other tensors than"),
    "missing tensors": (lambda content: content["model"].pop(FLAT), False, "which it does not hold"),
    "unknown tensor": (lambda content: content["model"].update(extra=torch.zeros(3)), False, "does not say what 'extra' is"),
    "one name twice": (
        lambda content: content["model"].update({"_fpw_module." + FLAT: torch.zeros(3)}), False, "two tensors have one name"),
    "shorter tensor": (tensor(FLAT, lambda found: found[:-1].clone()), True, "of shape [1111], not float32 of [1112]"),
    "shorter tensors": (tensor(FLAT, lambda found: found[:-1].clone()), False, "2 shards of 1111 are no even cut"),
    "other type": (tensor(FLAT, lambda found: found.half()), True, "is float16 of shape [1112], not float32"),
    "matrix": (tensor(FLAT, lambda found: found.reshape(2, -1).clone()), False, "one row of numbers"),
    "gaps": (strided, False, "one row of numbers"),
    "other buffer": (tensor(ENCODER + "version", lambda found: found + 1), True, "version' is not what it is in"),
    "entry of no kind": (lambda content: content["model"].update(extra=5), True, "'extra'"),
    "no model": (lambda content: content.pop("model"), True, "no dictionary 'model'"),
    "one average": (lambda content: content["extra_state"].update(ema={"a": torch.zeros(1)}), True, "no moving average"),
}  # fmt: skip
# Of the fixture model-parallel-parts, likewise.
PARTS: dict[str, tuple[Edit, bool, str]] = {
    "another norm": (tensor(NORM, lambda found: found + 1), True, f"'{NORM}' is not what it is in"),
    "another sign": (tensor(ENCODER + "layer_norm.bias", lambda found: found * 0 * -1), True, "layer_norm.bias' is not"),
    "unknown tensor": (lambda content: content["model"].update(extra=torch.zeros(3)), False, "how 'extra' is cut"),
    "one tensor less": (lambda content: content["model"].pop(NORM), True, f"'{NORM}' is in one of them only"),
    "other shape": (tensor(ENCODER + "layers.0.fc1.bias", lambda found: found[:-1].clone()), True, "of shape [15], not"),
    "no matrix": (tensor(ENCODER + "layers.0.fc2.weight", lambda found: found[0].clone()), False, "fc2.weight' is float32"),
    "other type": (tensor(ENCODER + "layers.0.fc1.bias", lambda found: found.double()), True, "is float64 of shape"),
    "more parts": (section("common", "model_parallel_size", 4), False, "model_part-2.pt, "),
    "another's rank": (section("distributed_training", "distributed_rank", 0), True, "process 0 of the run saved it"),
    "other seed": (section("common", "seed", 5), True, "seed is 5, not 1"),
}  # fmt: skip


def refused(path: Path, folder: Path) -> UnreadableCheckpoint:
    """The refusal, which has to come at once and leave nothing behind."""
    with at_most(5.0), pytest.raises(UnreadableCheckpoint) as caught:
        convert(path, folder / "out")
    assert not (folder / "out").exists()
    return caught.value


@pytest.mark.parametrize("case", SHARDS)
def test_shards(case: str, tmp_path: Path) -> None:
    edit, only_second, message = SHARDS[case]
    path = copy("fsdp-shards", tmp_path, edit, SHARD.format(1) if only_second else "")
    assert message in str(refused(path, tmp_path))


@pytest.mark.parametrize("case", PARTS)
def test_parts(case: str, tmp_path: Path) -> None:
    edit, only_second, message = PARTS[case]
    path = copy("model-parallel-parts", tmp_path, edit, PART.format(1) if only_second else "")
    assert message in str(refused(path, tmp_path))


def loop(path: Path) -> None:
    path.symlink_to(path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "checkpoint_last-shard1.pt is missing"),
    "loop": (loop, "checkpoint_last-shard1.pt: it should be a part of the checkpoint, and is no file"),
    "dangling": (lambda path: path.symlink_to(path.parent / "none"), "shard1.pt: it should be a part"),
    "directory": (lambda path: path.mkdir(), "shard1.pt: it should be a part"),
    "pipe": (pipe, "shard1.pt: it should be a part"),
    "empty": (lambda path: path.write_bytes(b""), "shard1.pt: the file is empty"),
    "text": (lambda path: path.write_text("no checkpoint"), "shard1.pt: it is a text file"),
    "cut": (lambda path: path.write_bytes(path.with_name(SHARD.format(0)).read_bytes()[:9000]), "checkpoint_last-shard1.pt"),
    "a copy": (lambda path: shutil.copyfile(path.with_name(SHARD.format(0)), path), "shard1.pt: process 0 of the run"),
    "a link to the other": (lambda path: path.symlink_to(SHARD.format(0)), "shard1.pt: process 0 of the run"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_the_file_beside_it(case: str, tmp_path: Path) -> None:
    make, message = FILES[case]
    path = copy("fsdp-shards", tmp_path)
    (tmp_path / SHARD.format(1)).unlink()
    make(tmp_path / SHARD.format(1))
    assert message in str(refused(path, tmp_path))


def test_one_file_too_many(tmp_path: Path) -> None:
    path = copy("fsdp-shards", tmp_path)
    shutil.copyfile(path, tmp_path / SHARD.format(7))
    assert "saved each checkpoint in 2 files, as it records, but there is also checkpoint_last-shard7.pt" in str(
        refused(path, tmp_path)
    )


def test_other_names_are_not_looked_at(tmp_path: Path) -> None:
    path = copy("fsdp-shards", tmp_path)
    for name in ("checkpoint_best-shard2.pt", "checkpoint_last-shard02.pt", "checkpoint_last-shard2.pt.tmp",
                 "checkpoint_last-model_part-0-shard0.pt", "checkpoint_last-shard-1.pt", "checkpoint_last.pt"):  # fmt: skip
        (tmp_path / name).write_bytes(b"something else")
    assert len(open_checkpoint(path).files) == 2


def forget_the_run(content: Content) -> None:
    for key in [key for key in content if key not in ("model", "fsdp_metadata")]:
        del content[key]


def test_a_gap_shows_without_a_record_of_the_run(tmp_path: Path) -> None:
    path = copy("fsdp-shards-one-wrapper", tmp_path, forget_the_run)
    assert len(open_checkpoint(path).files) == 4
    (tmp_path / SHARD.format(3)).unlink()
    assert "no even cut" in str(refused(path, tmp_path))  # the last one: only the metadata can tell
    (tmp_path / SHARD.format(1)).unlink()
    assert "it is one of 3 files of a checkpoint, and checkpoint_last-shard1.pt is missing" in str(
        refused(path, tmp_path)
    )
    (tmp_path / SHARD.format(999_999)).write_bytes(b"")
    message = str(refused(path, tmp_path))
    assert "shard1.pt, checkpoint_last-shard3.pt, checkpoint_last-shard4.pt" in message
    assert len(message) < 500


def test_a_part_alone(tmp_path: Path) -> None:
    path = copy("model-parallel-parts", tmp_path, lambda content: content.pop("cfg"))
    (tmp_path / PART.format(1)).unlink()
    assert "the others are not beside it" in str(refused(path, tmp_path))


def test_parts_of_shards_need_all_of_both(tmp_path: Path) -> None:
    path = copy("model-parallel-shards", tmp_path)
    (tmp_path / "checkpoint_last-model_part-1-shard0.pt").unlink()
    assert "one of 4 files of a checkpoint, and checkpoint_last-model_part-1-shard0.pt is missing" in str(
        refused(path, tmp_path)
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fsdp-shards", "one of several FSDP shards, and its name does not say which"),
        ("fsdp-shards-unflattened", "one of several FSDP shards, and its name does not say which"),
        ("model-parallel-parts", "one of 2 parts of a model-parallel model, and its name does not say which"),
        ("model-parallel-shards", "one of several FSDP shards, and its name does not say which"),
    ],
)
def test_a_part_that_has_lost_its_name(name: str, message: str, tmp_path: Path) -> None:
    path = copy(name, tmp_path).rename(tmp_path / "checkpoint_best.pt")
    assert f"checkpoint_best.pt: it is {message}" in str(refused(path, tmp_path))


def test_a_whole_checkpoint_with_a_shards_name(tmp_path: Path) -> None:
    path = tmp_path / SHARD.format(0)
    content = load_trusted(copy("model-parallel-parts", tmp_path))
    content["cfg"]["common"]["model_parallel_size"] = 1
    content["cfg"]["distributed_training"]["distributed_world_size"] = 1
    torch.save(content, path)
    assert "it has no 'fsdp_metadata'" in str(refused(path, tmp_path))


def test_no_final_norm_cannot_be_represented(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        for kind in ("weight", "bias"):
            del content["model"][ENCODER + "layer_norm." + kind]

    path = copy("model-parallel-parts", tmp_path, change)
    with pytest.raises(NotRepresentable, match="without a norm behind its last layer"):
        convert(path, tmp_path / "out")


def test_the_command_says_it_in_one_sentence(tmp_path: Path) -> None:
    copy("fsdp-shards", tmp_path)
    (tmp_path / SHARD.format(0)).unlink()
    for verb in (["inspect"], ["convert"]):
        output = [tmp_path / "out"] if verb == ["convert"] else []
        done = run_command(*verb, tmp_path / SHARD.format(1), *output)
        assert done.returncode == 4
        assert done.stderr == (
            "Error: checkpoint_last-shard1.pt: it is one of 2 files of a checkpoint, and checkpoint_last-shard0.pt is "
            "missing. Put all of them into one folder.\n"
        )
