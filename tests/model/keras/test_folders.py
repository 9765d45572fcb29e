"""Folders: one for all frameworks, sharded, of the other family, in TensorFlow's old file; and what does not fit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from keras import ops
from safetensors.torch import load_file, save_file

import prenorm_model
from helpers.keras_pairs import as_arrays, keras_pair
from helpers.model_pairs import NAMES, SMALL, inputs_for
from prenorm_model import keras as keras_part
from prenorm_model.keras.h5_file import H5Weights


def values(net: Any) -> dict[str, np.ndarray]:
    return {name: ops.convert_to_numpy(weight.variable.value) for name, weight in net.named_weights().items()}


def have_equal_weights(one: Any, other: Any) -> bool:
    left, right = values(one), values(other)
    return left.keys() == right.keys() and all((left[name] == right[name]).all() for name in left)


@pytest.mark.parametrize("name", NAMES)
def test_what_one_framework_writes_the_other_reads(name: str, tmp_path: Path) -> None:
    theirs, ours = keras_pair(name, "float32")
    ours.save_pretrained(tmp_path / "keras")
    theirs.save_pretrained(tmp_path / "torch", max_shard_size=9000)
    assert len(list((tmp_path / "torch").glob("*.safetensors"))) > 1
    by_torch = getattr(prenorm_model, name).from_pretrained(tmp_path / "keras")
    assert all(torch.equal(item, by_torch.get_parameter(key)) for key, item in theirs.named_parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_keras = getattr(keras_part, f"TF{name}").from_pretrained(tmp_path / "torch")
    assert have_equal_weights(ours, by_keras)
    config = (json.loads((tmp_path / part / "config.json").read_text()) for part in ("keras", "torch"))
    assert next(config) == next(config)


@pytest.mark.parametrize("changes", [{"model_type": "xlm-roberta-xl"}, {"tie_word_embeddings": False}])
def test_the_other_family_and_an_untied_head(changes: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormForMaskedLM", "float32", **changes)
    ours.save_pretrained(tmp_path / "keras")
    theirs.save_pretrained(tmp_path / "torch")
    wanted, got = (load_file(tmp_path / part / "model.safetensors") for part in ("torch", "keras"))
    assert wanted.keys() == got.keys()
    assert all(torch.equal(wanted[key], got[key]) for key in wanted)
    again = keras_part.TFRobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path / "torch")
    assert have_equal_weights(ours, again)
    with pytest.raises(ValueError, match=r"writes no tf_model\.h5"):
        ours.save_pretrained(tmp_path / "old", safe_serialization=False)
    assert not (tmp_path / "old").exists()


def test_a_converted_folder(converted: Callable[[str], Path]) -> None:
    folder = converted("dinkytrain-mlm")
    ours = keras_part.TFRobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    theirs = prenorm_model.RobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    ids = torch.tensor([[0, 5, 9, 2]])
    with torch.no_grad():
        assert np.abs(theirs(ids).logits.numpy() - ops.convert_to_numpy(ours(ids.numpy()).logits)).max() <= 1e-5
    ours.trainable = False  # what is loaded is what Keras trains, freezes and counts
    assert ours.count_params() == sum(parameter.numel() for parameter in theirs.parameters())
    assert not ours.trainable_variables


def test_half_types_and_policies(tmp_path: Path) -> None:
    theirs, _ = keras_pair("RobertaPreLayerNormModel", "float32")
    theirs.to(torch.bfloat16).save_pretrained(tmp_path)
    assert keras_part.TFRobertaPreLayerNormModel.from_pretrained(tmp_path).dtype == "float32"
    half = keras_part.TFRobertaPreLayerNormModel.from_pretrained(tmp_path, dtype="bfloat16")
    half.save_pretrained(tmp_path / "again")
    before, after = load_file(tmp_path / "model.safetensors"), load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    mixed = keras_part.TFRobertaPreLayerNormModel.from_pretrained(tmp_path, dtype="mixed_bfloat16")
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    assert keras.backend.standardize_dtype(mixed(np.array([[0, 5, 2]])).last_hidden_state.dtype) == "bfloat16"


def test_a_head_that_is_missing_is_new_and_all_else_is_an_error(tmp_path: Path) -> None:
    _, ours = keras_pair("RobertaPreLayerNormForMaskedLM", "float32")
    ours.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="classifier of TFRobertaPreLayerNormForTokenClassification is not in"):
        net, info = keras_part.TFRobertaPreLayerNormForTokenClassification.from_pretrained(
            tmp_path, num_labels=5, output_loading_info=True
        )
    assert info["missing_keys"] == {"classifier.weight", "classifier.bias"}
    fresh = values(net)
    assert fresh["classifier.weight"].shape == (SMALL["hidden_size"], 5)
    assert 0.001 < fresh["classifier.weight"].std() < 0.05
    assert (fresh["classifier.bias"] == 0).all()
    table = values(ours)["roberta_prelayernorm.embeddings.word_embeddings.weight"]
    assert (fresh["roberta_prelayernorm.embeddings.word_embeddings.weight"] == table).all()
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["lm_head.dense.bias"]
    save_file({**tensors, "surprise": torch.zeros(3), "lm_head.bias": torch.zeros(7)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit") as caught:
        keras_part.TFRobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    for message in ("missing: lm_head.dense.bias, shape [24]", "unexpected: surprise", "[7] in the file, [50] in the"):
        assert message in str(caught.value)
    with pytest.raises(TypeError, match="did you mean 'num_labels'"):
        keras_part.TFRobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path, num_label=3)


@pytest.mark.parametrize("name", NAMES)
def test_the_old_file_gives_the_weights_back(name: str, tmp_path: Path) -> None:
    _, ours = keras_pair(name, "float32")
    ours.save_pretrained(tmp_path)
    ours.save_pretrained(tmp_path, safe_serialization=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "tf_model.h5"]
    again = getattr(keras_part, f"TF{name}").from_pretrained(tmp_path)
    assert have_equal_weights(ours, again)
    inputs = as_arrays(inputs_for(name))
    field = "last_hidden_state" if name == NAMES[0] else "start_logits" if "Question" in name else "logits"
    assert (ops.convert_to_numpy(ours(inputs)[field]) == ops.convert_to_numpy(again(inputs)[field])).all()


def external(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones(3)
    file["classifier/tf/classifier/kernel:0"] = h5py.ExternalLink(folder / "other.h5", "secret")


def soft(file: h5py.File, folder: Path) -> None:
    file["classifier"] = h5py.SoftLink("/classifier")


def raw(file: h5py.File, folder: Path) -> None:
    (folder / "raw").write_bytes(bytes(64))
    file.create_dataset("classifier/tf/classifier/bias:0", (4,), "f4", external=[(str(folder / "raw"), 0, 64)])


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (4,))
    file.create_virtual_dataset("classifier/tf/classifier/bias:0", layout)


def variable(file: h5py.File, folder: Path) -> None:
    file.create_dataset("classifier/tf/classifier/bias:0", (2,), h5py.vlen_dtype(np.float32))


def text(file: h5py.File, folder: Path) -> None:
    file["classifier/tf/classifier/bias:0"] = "cos\nsystem"


def huge(file: h5py.File, folder: Path) -> None:
    file.create_dataset("classifier/tf/classifier/bias:0", (1 << 40,), "f4", chunks=(1 << 10,))


def unwritten(file: h5py.File, folder: Path) -> None:
    file.create_dataset("classifier/tf/classifier/bias:0", (9,), "f4", chunks=(3,))


def compressed(file: h5py.File, folder: Path) -> None:
    file.create_dataset("classifier/tf/classifier/bias:0", data=np.zeros(1 << 20, "f4"), compression="gzip")


def circle(file: h5py.File, folder: Path) -> None:
    file.create_group("classifier")["again"] = file["/"]


def no_place(file: h5py.File, folder: Path) -> None:
    file["bias:0"] = np.zeros(3, "f4")


@pytest.mark.parametrize(
    "damage",
    [external, soft, raw, virtual, variable, text, huge, unwritten, compressed, circle, no_place],
    ids=lambda damage: damage.__name__,
)
def test_a_hostile_old_file_is_refused(damage: Callable[[h5py.File, Path], None], tmp_path: Path) -> None:
    path = tmp_path / "tf_model.h5"
    with h5py.File(path, "w") as file:
        damage(file, tmp_path)
    with pytest.raises(ValueError, match=r"tf_model\.h5"):
        H5Weights([path])


def test_what_is_no_old_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tf_model.h5").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"tf_model\.h5 is no HDF5 file"):
        H5Weights([tmp_path / "tf_model.h5"])
