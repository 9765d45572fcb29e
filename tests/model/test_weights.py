"""Weights as numpy arrays: mapped, checked against their files, and written as torch's readers expect them."""

from __future__ import annotations

import builtins
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from prenorm_model import RobertaPreLayerNormConfig
from prenorm_model.folder import shard_pattern, weight_files
from prenorm_model.saving import arrange, write_folder
from prenorm_model.weights import StoredWeights, plan_shards, save_weights

TYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool]
ML_TYPES = [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def write(path: Path, **tensors: torch.Tensor) -> Path:
    safetensors.torch.save_file(tensors, path)
    return path


@pytest.mark.parametrize("dtype", [*TYPES, *ML_TYPES], ids=str)
def test_what_torch_wrote_is_read_bit_for_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).mul(9).to(dtype)
    weights = StoredWeights([write(tmp_path / "w.safetensors", odd=torch.ones(3, dtype=torch.uint8), a=tensor)])
    assert isinstance(weights["a"], np.memmap) and not weights["a"].flags.writeable
    assert str(weights["a"].dtype) == str(dtype).removeprefix("torch.")
    assert weights["a"].tobytes() == tensor.view(torch.uint8).numpy().tobytes()
    assert weights.shapes == {"odd": (3,), "a": (3, 5)} and len(weights) == 2 and set(weights) == {"odd", "a"}


def test_scalars_and_empty_weights(tmp_path: Path) -> None:
    weights = StoredWeights([write(tmp_path / "w.safetensors", scalar=torch.tensor(2.5), empty=torch.zeros(0, 4))])
    assert weights["scalar"].shape == () and float(weights["scalar"]) == 2.5
    assert weights["empty"].shape == (0, 4)


def test_a_type_that_numpy_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path / "w.safetensors", a=torch.zeros(2, dtype=torch.bfloat16), z=torch.zeros(2, dtype=torch.complex64)
    )
    weights = StoredWeights([path])
    weights._entries["z"] = weights._entries["z"]._replace(dtype="F4")
    with pytest.raises(ValueError, match=r"z in .*w\.safetensors has type F4, which numpy does not have"):
        weights["z"]
    original = builtins.__import__

    def without_ml_types(name: str, *args: Any) -> Any:
        if name == "ml_dtypes":
            raise ModuleNotFoundError(name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_ml_types)
    with pytest.raises(ValueError, match=r"a in .* has type bfloat16, .* ml_dtypes only: pip install ml_dtypes"):
        weights["a"]


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def rewrite(path: Path, head: dict[str, Any], data: bytes) -> None:
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    "fault", ["cut off", "trailing", "beyond", "overlap", "hole", "shape", "huge header", "no json"]
)
def test_a_file_that_lies_is_refused_as_torch_refuses_it(fault: str, tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", a=torch.ones(4), b=torch.ones(4))
    head, data = header(path)
    if fault == "cut off":
        path.write_bytes(path.read_bytes()[:-1])
    elif fault == "trailing":
        path.write_bytes(path.read_bytes() + b"x")
    elif fault == "huge header":
        path.write_bytes((1 << 40).to_bytes(8, "little") + path.read_bytes()[8:])
    elif fault == "no json":
        path.write_bytes((16).to_bytes(8, "little") + b"x" * 16 + data)
    else:
        head["b"].update(
            {
                "beyond": {"data_offsets": [16, 48], "shape": [8]},
                "overlap": {"data_offsets": [8, 24]},
                "hole": {"data_offsets": [20, 32], "shape": [3]},
                "shape": {"shape": [5]},
            }[fault]
        )
        rewrite(path, head, data)
    with pytest.raises(SafetensorError):
        safe_open(path, framework="pt").__enter__()
    with pytest.raises(SafetensorError):
        StoredWeights([path])


@pytest.mark.parametrize("shard_size", [100, "1GB"])
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_what_is_written_is_read_by_torch_and_again(shard_size: int | str, variant: str | None, tmp_path: Path) -> None:
    config = RobertaPreLayerNormConfig(model_type="xlm-roberta-xl", tie_word_embeddings=False)
    generator = np.random.default_rng(0)
    weights = {
        "roberta_prelayernorm.encoder.layer.0.attention.LayerNorm.weight": generator.normal(size=16).astype("f4"),
        "roberta_prelayernorm.LayerNorm.bias": generator.normal(size=16).astype("f4"),
        "lm_head.bias": generator.normal(size=16).astype("f4"),
        "lm_head.decoder.weight": generator.normal(size=(4, 16)).astype("f4").T,  # not contiguous
    }
    named, stored = arrange("FlaxRobertaPreLayerNormForMaskedLM", config, weights, "float32")
    shards = plan_shards(stored, shard_pattern(variant), shard_size)
    names = write_folder(tmp_path, named, stored, shards, save_weights, variant)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == (2 if shard_size == "1GB" else 7)
    umask = os.umask(0)
    os.umask(umask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666 & ~umask}
    read = RobertaPreLayerNormConfig.from_pretrained(tmp_path)
    assert read.architectures == ["XLMRobertaXLForMaskedLM"] and read.dtype == "float32" and config.dtype is None
    paths = weight_files(tmp_path, variant=variant)
    theirs = {name: tensor for path in paths for name, tensor in safetensors.torch.load_file(path).items()}
    ours = StoredWeights(paths)
    assert ours.keys() == theirs.keys() == {
        "roberta.encoder.layer.0.attention.self_attn_layer_norm.weight", "roberta.encoder.LayerNorm.bias",
        "lm_head.bias", "lm_head.decoder.bias", "lm_head.decoder.weight",
    }  # fmt: skip
    for name, tensor in theirs.items():
        assert np.array_equal(ours[name], tensor.numpy())
    assert np.array_equal(ours["lm_head.decoder.weight"], weights["lm_head.decoder.weight"])
