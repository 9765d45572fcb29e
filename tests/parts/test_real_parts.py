"""What real fairseq saved in several files converts as if it had saved one; fairseq's own reassembly is the judge."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.checkpoints import load_trusted
from helpers.commands import run_command
from helpers.part_files import ENCODER, FSDP, PARALLEL, copy, files_of, plain_checkpoint
from helpers.paths import BPE
from helpers.variants import VARIANTS
from helpers.waiting import PATIENCE
from prenorm import convert
from prenorm.checkpoint import LazyTensor
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UnreadableCheckpoint
from prenorm.parts import open_checkpoint
from prenorm.rules.derived import JoinedTensor
from prenorm.source.contents import model_tensors

pytestmark = pytest.mark.slow

TABLE, HEAD = ENCODER + "embed_tokens.weight", "encoder.lm_head.weight"
WORDS = {
    "fsdp-shards": "zip, 2 FSDP shards",
    "fsdp-shards-one-wrapper": "zip, 4 FSDP shards",
    "fsdp-shards-unflattened": "zip, 2 FSDP shards",
    "fsdp-shards-old-metadata": "zip, 2 FSDP shards",
    "model-parallel-parts": "zip, 2 model-parallel parts",
    "model-parallel-shards": "zip, 2 model-parallel parts of 2 FSDP shards",
}


def fingerprint(tensor: SourceTensor) -> list[Any]:
    data = b"".join(bytes(piece) for piece in tensor.chunks())
    return [tensor.dtype, list(tensor.shape), hashlib.sha256(data).hexdigest()]


@pytest.mark.parametrize("name", WORDS)
def test_the_tensors_are_bit_equal_to_what_fairseq_makes_of_the_files(name: str) -> None:
    expected = json.loads((VARIANTS / name / "whole.json").read_text())
    if name == "fsdp-shards-old-metadata":  # fairscale 0.3.7 does not record what is tied; a tied matrix may be missing
        assert expected.pop(HEAD) == expected[TABLE]
    for path in files_of(name):
        opened = open_checkpoint(path)
        tensors = model_tensors(opened)
        assert {key: fingerprint(tensor) for key, tensor in tensors.items()} == expected
        assert {key: [str(t.read().dtype)[6:], list(t.read().shape)] for key, t in tensors.items()} == {
            key: facts[:2] for key, facts in expected.items()
        }
        assert opened.container == WORDS[name]
        assert [file.name for file in opened.files] == [file.name for file in files_of(name)]
        assert tensors.get(HEAD, tensors[TABLE]) is tensors[TABLE]


@pytest.mark.parametrize("name", WORDS)
def test_the_folder_is_the_one_that_a_checkpoint_in_one_file_gives(name: str, tmp_path: Path) -> None:
    last = files_of(name)[-1]
    result = convert(last, tmp_path / "parts", bpe_dir=BPE)
    tensors = {key: tensor.read().clone() for key, tensor in model_tensors(open_checkpoint(last)).items()}
    plain = plain_checkpoint(tmp_path / "plain.pt", load_trusted(last), tensors)
    (tmp_path / "dict.txt").write_bytes((VARIANTS / name / "dict.txt").read_bytes())
    convert(plain, tmp_path / "whole", bpe_dir=BPE)
    for file in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    assert result.report.check("logits").metrics["max_abs_diff"] < 1e-10


@pytest.mark.parametrize("name", ["fsdp-shards-one-wrapper", "model-parallel-shards"])
def test_report_and_card_name_every_file_whichever_was_given(name: str, tmp_path: Path) -> None:
    reports = []
    for number, path in enumerate((files_of(name)[0], files_of(name)[-1])):
        source = dict(convert(path, tmp_path / str(number)).report.source)
        reports.append(source)
        card = (tmp_path / str(number) / "README.md").read_text()
        for part in files_of(name):
            assert f"`{part.name}`, {part.stat().st_size:,} bytes" in card
            assert hashlib.sha256(part.read_bytes()).hexdigest() in card
    assert reports[0] == reports[1]
    assert reports[0]["parts"] == [
        {"name": part.name, "bytes": part.stat().st_size, "sha256": hashlib.sha256(part.read_bytes()).hexdigest()}
        for part in files_of(name)
    ]
    assert {key: reports[0][key] for key in ("file", "bytes", "sha256")} == {
        "file" if key == "name" else key: value for key, value in reports[0]["parts"][0].items()
    }
    assert reports[0]["container"] == WORDS[name]


def test_inspect_lists_the_files_and_does_not_load_torch() -> None:
    path = files_of("fsdp-shards-one-wrapper")[2]
    done = run_command("inspect", path, "--json")
    found = json.loads(done.stdout)
    assert found["files"] == [f"checkpoint_last-shard{n}.pt" for n in range(4)]
    assert found["size"] == sum(file.stat().st_size for file in files_of("fsdp-shards-one-wrapper"))
    assert (found["file"], found["refusal"]) == ("checkpoint_last-shard0.pt", None)
    assert all(f"checkpoint_last-shard{n}.pt" in run_command("inspect", path).stdout for n in range(4))
    code = f"import sys, prenorm; prenorm.inspect({str(path)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0


def test_what_lies_in_one_shard_stays_a_view_of_it() -> None:
    kinds = [type(tensor) for tensor in model_tensors(open_checkpoint(files_of("fsdp-shards-one-wrapper")[0])).values()]
    assert kinds.count(JoinedTensor) == 3  # four shards have three borders
    assert kinds.count(LazyTensor) == len(kinds) - 3


@pytest.mark.parametrize("name", [*FSDP, *PARALLEL])
def test_a_damaged_byte_is_found_in_every_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    first = copy(name, tmp_path / "copy")
    for number, path in enumerate(files_of(name)):
        target = tmp_path / "copy" / path.name
        data = bytearray(path.read_bytes())
        # The last byte of the largest tensor in it that no other part holds too.
        tensors = model_tensors(open_checkpoint(path))
        views = [
            view
            for key, tensor in tensors.items()
            for view in tensor.views
            if view.file.name == path.name and "embed_positions" not in key
        ]
        data[max(views, key=lambda view: view.place.size).place.end - 1] ^= 1
        target.write_bytes(data)
        with pytest.raises(UnreadableCheckpoint, match=r"CRC|checksum") as caught:
            convert(first, tmp_path / f"out{number}")
        assert path.name in str(caught.value)
        target.write_bytes(path.read_bytes())
    convert(first, tmp_path / "out")


def double(content: dict[str, Any]) -> None:
    content["extra_state"]["ema"] = {
        key: tensor if key.endswith("version") else tensor * 2 for key, tensor in content["model"].items()
    }


@pytest.mark.parametrize("name", ["fsdp-shards-one-wrapper", "model-parallel-parts", "model-parallel-shards"])
def test_the_moving_average_is_put_together_too(name: str, tmp_path: Path) -> None:
    path = copy(name, tmp_path, double)
    convert(path, tmp_path / "model", task="masked-lm")
    convert(path, tmp_path / "ema", task="masked-lm", weights="ema")
    model, ema = (load_file(tmp_path / folder / "model.safetensors") for folder in ("model", "ema"))
    assert all(torch.equal(ema[key], 2 * tensor) for key, tensor in model.items())


@pytest.mark.parametrize("name", ["fsdp-shards", "model-parallel-parts"])
def test_legacy_streams_work_as_parts_too(name: str, tmp_path: Path) -> None:
    path = copy(name, tmp_path, lambda content: None, _use_new_zipfile_serialization=False)
    expected = json.loads((VARIANTS / name / "whole.json").read_text())
    opened = open_checkpoint(path)
    assert {key: fingerprint(tensor) for key, tensor in model_tensors(opened).items()} == expected
    assert opened.container.startswith("legacy stream, 2 ")


def test_globals_of_every_file_are_shown(tmp_path: Path) -> None:
    path = copy("fsdp-shards", tmp_path, lambda content: content.update(run=Runs()), only="checkpoint_last-shard1.pt")
    risky = [(item.module, item.name) for item in open_checkpoint(path).globals if item.risk.value == "could run code"]
    assert risky == [("__builtin__", "print")]


class Runs:
    """An object whose pickle calls a function."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)
