"""Both containers, read without torch's help and held against torch's own reading."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import load_trusted, save_edited
from helpers.paths import CONVERTIBLE, FIXTURES, MLM
from prenorm.checkpoint import LazyTensor
from prenorm.checkpoint.sameness import is_same_place
from prenorm.checkpoint.tensors import contiguous_stride, tensor_bytes
from prenorm.errors import PrenormError, UnreadableCheckpoint, UsageProblem
from prenorm.parts import open_checkpoint
from prenorm.source.contents import model_tensors


def same(lazy: LazyTensor, loaded: torch.Tensor) -> bool:
    return str(loaded.dtype) == f"torch.{lazy.dtype}" and torch.equal(lazy.read(), loaded)


@pytest.mark.parametrize("name", [*CONVERTIBLE, "fairseq-0.10.2-postnorm"])
def test_tensors_are_those_that_torch_loads(name: str) -> None:
    path = FIXTURES / name / "checkpoint.pt"
    loaded = load_trusted(path)
    opened = open_checkpoint(path)
    tensors = model_tensors(opened)
    assert tensors.keys() == loaded["model"].keys()
    assert all(same(tensors[key], value) for key, value in loaded["model"].items())
    assert set(opened.content) == set(loaded)
    for tensor in tensors.values():
        opened.check_integrity(tensor)


def test_legacy_stream_reads_the_same(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "old.pt", lambda content: None, _use_new_zipfile_serialization=False)
    opened = open_checkpoint(path)
    assert opened.container == "legacy stream"
    loaded = load_trusted(path)
    assert all(same(tensor, loaded["model"][key]) for key, tensor in model_tensors(opened).items())
    assert opened.content["optimizer_history"] == loaded["optimizer_history"]


@pytest.mark.parametrize("legacy", [False, True])
def test_views_types_and_scalars(tmp_path: Path, legacy: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "whole": base,
        "rows": base[1:3],
        "columns": base[:, 2:4],
        "transposed": base.t(),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        **{str(dtype): torch.ones(3).to(dtype) for dtype in
           (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool)},
    }  # fmt: skip
    path = tmp_path / "views.pt"
    torch.save({"model": tensors}, path, _use_new_zipfile_serialization=not legacy)
    found = model_tensors(open_checkpoint(path))
    assert found.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert torch.equal(found[key].read(), tensor.detach()), key
        assert (found[key].shape, found[key].stride) == (tuple(tensor.shape), tensor.stride())
        assert found[key].is_contiguous == tensor.is_contiguous()
    assert torch.equal(found["whole"].narrow(1, 2).read(), base[1:3])
    assert is_same_place(found["whole"].narrow(1, 2), found["rows"])
    assert not is_same_place(found["whole"], found["rows"])


def test_contiguous_stride_is_torchs() -> None:
    assert contiguous_stride((4, 3, 5)) == torch.empty(4, 3, 5).stride()
    assert contiguous_stride(()) == ()


def test_damage_in_the_weights_is_noticed(tmp_path: Path) -> None:
    """A flipped bit would otherwise be converted, and proven, faithfully."""
    raw = bytearray(MLM.read_bytes())
    tensor = model_tensors(open_checkpoint(MLM))["encoder.lm_head.dense.weight"]
    raw[tensor.place.start + 9] ^= 0x10
    path = tmp_path / "flipped.pt"
    path.write_bytes(raw)
    opened = open_checkpoint(path)
    with pytest.raises(UnreadableCheckpoint, match="CRC-32"):
        opened.check_integrity(model_tensors(opened)["encoder.lm_head.dense.weight"])


def zipped(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


MLM_BYTES = MLM.read_bytes()
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"this is no checkpoint\n", "text file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(64), "compressed archive"),
    "bare pickle": (b"\x80\x02}q\x00.", "pickle, but not one that torch saved"),
    "safetensors": ((8).to_bytes(8, "little") + b'{"a":{}}', "safetensors"),
    "noise": (bytes(range(255, -1, -1)) * 3, "neither a zip archive nor a torch pickle"),
    "other zip": (zipped(readme=b"hello"), "no record 'data.pkl'"),
    "compressed zip": (zipped(zipfile.ZIP_DEFLATED, **{"a__data.pkl": bytes(1000)}), "is compressed"),
    "two folders": (zipped(**{"a__data.pkl": b"1", "b__y": b"2"}), "several folders"),
    "truncated": (MLM_BYTES[: len(MLM_BYTES) // 2], "no end record"),
    "one byte short": (MLM_BYTES[:-1], "zip"),
    "no dictionary": (zipped(**{"a__data.pkl": b"\x80\x02]q\x00."}), "holds a value of type list"),
    "pickle cut": (zipped(**{"a__data.pkl": b"\x80\x02}q\x00"}), "ends before its end mark"),
    "unknown operation": (zipped(**{"a__data.pkl": b"\x80\x02\xff."}), "no pickle operation"),
    "memo missing": (zipped(**{"a__data.pkl": b"\x80\x02h\x05."}), "memo entry 5"),
    "endless text": (zipped(**{"a__data.pkl": b"\x80\x02X\xff\xff\xff\x7f."}), "MB of text"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_checkpoint_gets_one_clear_error(name: str, tmp_path: Path) -> None:
    content, said = BAD_FILES[name]
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match=said) as caught:
        open_checkpoint(path)
    assert "bad.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "cut.pt"
    for end in range(1, len(MLM_BYTES), 9973):
        path.write_bytes(MLM_BYTES[:end])
        with pytest.raises(UnreadableCheckpoint):
            open_checkpoint(path)


def test_every_truncation_of_a_legacy_stream_is_noticed(tmp_path: Path) -> None:
    whole = save_edited(tmp_path / "old.pt", lambda content: None, _use_new_zipfile_serialization=False).read_bytes()
    path = tmp_path / "cut.pt"
    for end in range(20, len(whole), 19997):
        path.write_bytes(whole[:end])
        with pytest.raises(UnreadableCheckpoint):
            open_checkpoint(path)


@pytest.mark.parametrize(("name", "said"), [("missing.pt", "no such file"), (".", "is a directory")])
def test_a_wrong_path_is_a_usage_problem(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=said):
        open_checkpoint(tmp_path / name)


def storage_lies(offset: object = 0, shape: object = (2,), stride: object = (1,)) -> bytes:
    """A legal-looking pickle of one tensor over a storage of four floats, with claims to be tested."""
    import pickle

    class Storage:
        pass

    class Tensor:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, shape, stride, False, None)

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if isinstance(obj, Storage) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"model": {"x": Tensor()}})
    return zipped(**{"a__data.pkl": buffer.getvalue(), "a__data__0": bytes(16)})


@pytest.mark.parametrize(
    ("claims", "sound"),
    [
        ({}, True),
        ({"shape": (4,)}, True),
        ({"shape": (5,)}, False),
        ({"offset": 3}, False),
        ({"offset": -1}, False),
        ({"shape": (1 << 40,), "stride": (0,)}, False),
        ({"shape": (2, 2), "stride": (3, 1)}, False),
        ({"stride": (-1,)}, False),
        ({"shape": (2.0,)}, False),
        ({"shape": (1,) * 99, "stride": (1,) * 99}, False),
        ({"offset": 1 << 70}, False),
    ],
)
def test_a_tensor_must_lie_in_its_storage(claims: dict[str, Any], sound: bool, tmp_path: Path) -> None:
    path = tmp_path / "lies.pt"
    path.write_bytes(storage_lies(**claims))
    if sound:
        assert model_tensors(open_checkpoint(path))["x"].read().tolist() == [0.0] * (4 if "shape" in claims else 2)
    else:
        with pytest.raises(PrenormError, match="outside its storage"):
            open_checkpoint(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1.5, 2.5, 3.5, 4.5])[3:].as_strided((1, 1), (4, 4)),
        torch.arange(32.0).as_strided((1, 3), (9, 2)),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(3, dtype=torch.bfloat16),
        torch.tensor(2.5),
        torch.empty(0, 4),
    ],
)
def test_bytes_are_in_row_major_order_whatever_the_strides(tensor: torch.Tensor) -> None:
    """A dimension of one element may have any stride in a tensor that torch calls contiguous."""
    plain = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
    assert bytes(tensor_bytes(tensor)) == bytes(plain.reshape(-1).view(torch.uint8).numpy().data)
