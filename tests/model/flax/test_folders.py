"""Folders: one for PyTorch and Flax, strict, sharded, of both families; and `flax_model.msgpack`, read without trust."""

from __future__ import annotations

import json
import os
import stat
import warnings
from pathlib import Path
from typing import Any

import jax
import msgpack
import numpy as np
import pytest
import torch
from flax import serialization
from jax import numpy as jnp
from safetensors.torch import load_file, save_file

import prenorm_model
from helpers.flax_pairs import flax_pair, named_of
from helpers.model_pairs import NAMES, SMALL, settings
from prenorm_model import RobertaPreLayerNormConfig
from prenorm_model import flax as flax_part
from prenorm_model.flax import msgpack_file
from prenorm_model.flax.params import flatten

MASKED, SEQUENCE = "RobertaPreLayerNormForMaskedLM", "RobertaPreLayerNormForSequenceClassification"


def of_flax(name: str) -> Any:
    return getattr(flax_part, f"Flax{name}")


@pytest.mark.parametrize("changes", [{}, {"model_type": "xlm-roberta-xl", "tie_word_embeddings": False}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_either_is_one_of_both(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = flax_pair(name, **changes)
    theirs.save_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours", max_shard_size="20KB")
    files = sorted(path.name for path in (tmp_path / "ours").iterdir())
    assert len(files) > 3 and "model.safetensors.index.json" in files
    umask = os.umask(0)
    os.umask(umask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ours").iterdir()} == {0o666 & ~umask}
    assert (tmp_path / "ours" / "config.json").read_text() == (tmp_path / "theirs" / "config.json").read_text()
    loaded, info = of_flax(name).from_pretrained(tmp_path / "theirs", dtype="float64", output_loading_info=True)
    assert not any(info.values())
    assert jax.tree.all(
        jax.tree.map(lambda a, b: a.dtype == b.dtype and bool((a == b).all()), loaded.params, ours.params)
    )
    back = getattr(prenorm_model, name).from_pretrained(tmp_path / "ours")
    assert all(torch.equal(item, theirs.get_parameter(key)) for key, item in back.named_parameters())


@pytest.mark.parametrize("ours", [True, False])
def test_what_does_not_fit_is_listed_as_in_pytorch(ours: bool, tmp_path: Path) -> None:
    flax_pair(MASKED)[0].save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["lm_head.dense.bias"]
    tensors["surprise"] = torch.zeros(3)
    tensors["lm_head.dense.weight"] = torch.zeros(7, 24)
    save_file(tensors, tmp_path / "model.safetensors")
    cls = of_flax(MASKED) if ours else getattr(prenorm_model, MASKED)
    with pytest.raises(ValueError) as caught:
        cls.from_pretrained(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path} does not fit {'Flax' if ours else ''}{MASKED}:",
        "  mismatched: lm_head.dense.weight is [7, 24] in the file, [24, 24] in the model",
        "  missing: lm_head.dense.bias, shape [24]",
        "  unexpected: surprise, shape [3]",
    ]


def test_a_missing_head_is_new_and_one_warning_names_it(tmp_path: Path) -> None:
    flax_pair(MASKED, "float32")[1].save_pretrained(tmp_path)
    sentence = r"^classifier of FlaxRobertaPreLayerNormForSequenceClassification is not in .* newly initialized"
    with pytest.warns(UserWarning, match=sentence) as caught:
        model, info = of_flax(SEQUENCE).from_pretrained(tmp_path, num_labels=5, output_loading_info=True)
    assert caught[0].filename == __file__
    assert model.params["classifier"]["out_proj"]["kernel"].shape == (24, 5)
    assert 0.01 < float(model.params["classifier"]["dense"]["kernel"].std()) < 0.03
    assert not model.params["classifier"]["dense"]["bias"].any()
    assert {name.partition(".")[0] for name in info["missing_keys"]} == {"classifier"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same = of_flax(SEQUENCE).from_pretrained(tmp_path, num_labels=5)
        other, params = of_flax(SEQUENCE).from_pretrained(tmp_path, num_labels=5, seed=1, _do_init=False)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), same.params, model.params))
    assert not np.array_equal(params["classifier"]["dense"]["kernel"], model.params["classifier"]["dense"]["kernel"])
    with pytest.raises(ValueError, match="made with _do_init=False and keeps no params"):
        _ = other.params


def test_options_that_are_unknown_or_not_supported_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"'num_label' \(did you mean 'num_labels'\?\)"):
        of_flax(MASKED).from_pretrained(tmp_path, num_label=3)
    with pytest.raises(ValueError, match=r"FlaxRobertaPreLayerNormForMaskedLM\.from_pretrained does not take"):
        of_flax(MASKED).from_pretrained(tmp_path, quantization_config={"bits": 4})
    with pytest.raises(TypeError, match="RobertaPreLayerNormConfig"):
        of_flax(MASKED)({"vocab_size": 5})
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        of_flax(MASKED).from_pretrained(tmp_path)
    RobertaPreLayerNormConfig(**SMALL).save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors and no flax_model\.msgpack"):
        of_flax(MASKED).from_pretrained(tmp_path)


def test_what_could_not_be_loaded_again_is_not_written(tmp_path: Path) -> None:
    _, ours = flax_pair(MASKED)
    ours.config.vocab_size = 60
    with pytest.raises(ValueError, match="could not be loaded again by FlaxRobertaPreLayerNormForMaskedLM"):
        ours.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="writes no flax_model"):
        flax_pair(MASKED, model_type="xlm-roberta-xl")[1].save_pretrained(tmp_path / "xl", safe_serialization=False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_flax_own_file_there_and_back(dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ours = flax_pair(MASKED, dtype, tie_word_embeddings=False)
    ours.save_pretrained(tmp_path)
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 1000)  # as an array above 1 GB, in pieces
    ours.save_pretrained(tmp_path, safe_serialization=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "flax_model.msgpack"]
    assert b"__msgpack_chunked_array__" in (tmp_path / "flax_model.msgpack").read_bytes()
    loaded = of_flax(MASKED).from_pretrained(tmp_path, dtype=dtype)
    assert named_of(loaded.params).keys() == named_of(ours.params).keys()
    assert all(np.array_equal(named_of(loaded.params)[key], item) for key, item in named_of(ours.params).items())
    ours.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_bfloat16_is_stored_and_loaded(tmp_path: Path) -> None:
    _, ours = flax_pair(MASKED, "float32")
    ours.params = ours.to_bf16(ours.params)
    for safe in (True, False):
        ours.save_pretrained(tmp_path, safe_serialization=safe)
        assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
        loaded = of_flax(MASKED).from_pretrained(tmp_path)
        assert {leaf.dtype for leaf in jax.tree.leaves(loaded.params)} == {jnp.dtype(jnp.bfloat16)}
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), loaded.params, ours.params))


def array(*fields: Any, code: int = 1) -> msgpack.ExtType:
    return msgpack.ExtType(code, msgpack.packb(fields))


FOUR = b"\0" * 16
HOSTILE: dict[str, tuple[Any, str]] = {
    "list": ([1], "exceeds"),
    "number for a leaf": ({"a": 5}, "a is a int, not an array"),
    "text for a leaf": ({"a": "x"}, "a is a str"),
    "bytes": ({"a": b"xx"}, "exceeds"),
    "list for a leaf": ({"a": [1]}, "exceeds"),
    "number for a key": ({5: array([4], "float32", FOUR)}, "int is not allowed for map key"),
    "complex": ({"a": msgpack.ExtType(2, msgpack.packb((1.0, 2.0)))}, "an extension of type 2"),
    "scalar": ({"a": array([], "float32", b"\0" * 4, code=3)}, "an extension of type 3"),
    "timestamp": ({"a": msgpack.Timestamp(5)}, ""),
    "two fields": ({"a": array([4], "float32")}, "has not shape, type and bytes"),
    "large shape": ({"a": array([1 << 40], "float32", FOUR)}, "has 16 bytes"),
    "overflowing shape": ({"a": array([1 << 33, 1 << 33], "float32", FOUR)}, "has 16 bytes"),
    "negative shape": ({"a": array([-1, -4], "float32", FOUR)}, "has the shape"),
    "true for a size": ({"a": array([True, 4], "float32", FOUR)}, "has the shape"),
    "small shape": ({"a": array([3], "float32", FOUR)}, "has 16 bytes"),
    "nested shape": ({"a": array([[4]], "float32", FOUR)}, "has the shape"),
    "many dimensions": ({"a": array([1] * 9, "float32", b"\0" * 4)}, "exceeds"),
    "objects": ({"a": array([2], "O", FOUR)}, "has the type b'O'"),
    "integers": ({"a": array([4], "int32", FOUR)}, "has the type b'int32'"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused(case: str, tmp_path: Path) -> None:
    content, message = HOSTILE[case]
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(msgpack.packb(content))
    with pytest.raises(ValueError) as caught:
        msgpack_file.read(path)
    assert str(caught.value).startswith(f"{path} is no flax_model.msgpack of Flax: ")
    assert message in str(caught.value)


PIECE = array([4], "float32", FOUR)


@pytest.mark.parametrize(
    ("shape", "chunks", "message"),
    [
        ({"0": 8}, {"0": PIECE}, "do not make an array of shape"),
        ({"0": 1 << 62, "1": 4}, {"0": PIECE}, "do not make an array of shape"),
        ({"0": 4}, {"1": PIECE}, "not numbered"),
        ({"0": 4}, {}, "no arrays"),
        ({"0": 4}, {"0": 4}, "no arrays"),
        ({"0": -2, "1": -2}, {"0": PIECE}, "no shape"),
        ({"0": 8}, {"0": PIECE, "1": array([4], "float16", FOUR[:8])}, "do not make an array"),
        (None, {"0": PIECE}, "not numbered"),
    ],
)  # fmt: skip
def test_hostile_pieces_are_refused(shape: Any, chunks: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(msgpack.packb({"a": {"__msgpack_chunked_array__": True, "shape": shape, "chunks": chunks}}))
    with pytest.raises(ValueError, match=message):
        msgpack_file.read(path)


def test_a_file_that_is_cut_off_or_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flax_model.msgpack"
    whole = msgpack.packb({"a": {"b": PIECE}})
    path.write_bytes(whole)
    assert msgpack_file.read(path)["a", "b"].shape == (4,)
    deep = b"\x81\xa1a" * 100_000 + b"\xc0"
    for content in [whole[:end] for end in range(len(whole))] + [
        whole + b"x",
        deep,
        b"\xdf\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no flax_model"):
            msgpack_file.read(path)


def test_parameters_that_do_not_fit_are_listed() -> None:
    _, ours = flax_pair(MASKED)
    leaves = flatten(ours.params)
    del leaves["lm_head", "bias"]
    broken = {"surprise": jnp.zeros(3), **{key: item for key, item in ours.params.items() if key != "lm_head"}}
    with pytest.raises(
        ValueError, match=r"params do not fit Flax.*\n  missing: lm_head/bias\n(  .*\n)*  unexpected: surprise$"
    ) as caught:
        ours([[5]], params=broken)
    assert "missing: lm_head/dense/kernel" in str(caught.value)
    with pytest.raises(ValueError, match="missing: lm_head/bias"):
        ours.params = broken
    with pytest.raises(ValueError, match=r"mismatched: lm_head/bias is \[7\], in the model \[50\]"):
        ours.params = {**ours.params, "lm_head": {**ours.params["lm_head"], "bias": jnp.zeros(7)}}


def test_fresh_weights_are_those_of_the_documentation() -> None:
    model = of_flax(MASKED)(
        RobertaPreLayerNormConfig(**{**settings(MASKED), "hidden_size": 64, "initializer_range": 0.5})
    )
    named = named_of(model.params)
    for key, item in named.items():
        if key.endswith("bias"):
            assert not item.any(), key
        elif "LayerNorm" in key or "layer_norm" in key:
            assert (item == 1).all(), key
        else:
            assert 0.4 < item.std() < 0.6, key
    table = named["roberta_prelayernorm.embeddings.word_embeddings.weight"]
    assert not table[1].any() and table[0].any()
    assert table.dtype == np.float32
    again = of_flax(MASKED)(model.config, seed=0)
    other = of_flax(MASKED)(model.config, seed=1)
    assert np.array_equal(named_of(again.params)["lm_head.dense.weight"], named["lm_head.dense.weight"])
    assert not np.array_equal(named_of(other.params)["lm_head.dense.weight"], named["lm_head.dense.weight"])
