"""Folders: saved, loaded, exchanged with transformers, sharded, old, of the other family, and from a Hub."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import prenorm_model as model
from helpers.model_pairs import NAMES, SMALL, aligned, apart, inputs_for, randomize, settings
from prenorm_model import RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM
from prenorm_model.naming import to_file, to_module


def test_save_and_load_give_the_same_bits(tmp_path: Path, converted: Callable[[str], Path]) -> None:
    folder = converted("dinkytrain-mlm")
    net = RobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    net.save_pretrained(tmp_path)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads((folder / "config.json").read_text())
    reloaded = RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    ids = torch.tensor([[0, 5, 9, 2]])
    assert have_equal_weights(net, reloaded)
    assert torch.equal(aligned(net)(ids).logits, aligned(reloaded)(ids).logits)
    assert reloaded.lm_head.decoder.weight is reloaded.roberta_prelayernorm.embeddings.word_embeddings.weight


def test_loading_lists_every_key_that_does_not_fit(tmp_path: Path, converted: Callable[[str], Path]) -> None:
    folder = converted("dinkytrain-mlm")
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.dense.bias"]
    tensors["surprise"] = torch.zeros(3)
    tensors["lm_head.bias"] = torch.zeros(7)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ValueError, match="does not fit") as caught:
        RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    for message in (
        "missing: lm_head.dense.bias, shape [48]",
        "unexpected: surprise, shape [3]",
        "[7] in the file, [438]",
    ):
        assert message in str(caught.value)


def test_config_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    values = {
        **SMALL,
        "model_type": "roberta-prelayernorm",
        "somebody": {"else": [1, 2]},
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    RobertaPreLayerNormConfig.from_pretrained(tmp_path).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert {key: written[key] for key in values} == values
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    with pytest.raises(ValueError, match=r"config.json: .* model_type is 'roberta', not"):
        RobertaPreLayerNormConfig.from_pretrained(tmp_path)


@pytest.mark.slow
def test_loading_does_not_import_torchs_compiler(tmp_path: Path) -> None:
    """torch's `normal_` on the meta device would import it, which takes far longer than to load a small model."""
    RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**SMALL)).save_pretrained(tmp_path)
    code = (
        "import sys; from prenorm_model import RobertaPreLayerNormForMaskedLM as Model; "
        "Model.from_pretrained(sys.argv[1]); print('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True).stdout == "False\n"


def build(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    net = getattr(model, name)(model.RobertaPreLayerNormConfig(**{**settings(name), **changes})).eval()
    randomize(net)
    return net


def run(net: Any, name: str) -> torch.Tensor:
    """The first output on the class's test inputs, which depends on the weights' bits alone."""
    output: torch.Tensor = aligned(net)(**inputs_for(name))[0]
    return output


def have_equal_weights(net: Any, other: Any) -> bool:
    """Whether both have the same weights, bit for bit."""
    weights, others = net.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights)


@pytest.mark.parametrize("name", NAMES)
def test_save_load_forward_is_bit_equal(name: str, tmp_path: Path) -> None:
    net = build(name)
    net.save_pretrained(tmp_path)
    reloaded = getattr(model, name).from_pretrained(tmp_path)
    assert not reloaded.training
    assert have_equal_weights(net, reloaded)
    assert torch.equal(run(net, name), run(reloaded, name))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [name]


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_folders_load_in_the_other(name: str, tied: bool, tmp_path: Path) -> None:
    net = build(name, tie_word_embeddings=tied)
    net.save_pretrained(tmp_path / "ours")
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    inputs = inputs_for(name)
    real = inputs["attention_mask"].bool() if "CausalLM" in name else slice(None)
    assert apart(net(**inputs)[0][real], theirs.eval()(**inputs)[0][real]) < 1e-5
    theirs.save_pretrained(tmp_path / "theirs")
    back = getattr(model, name).from_pretrained(tmp_path / "theirs")
    assert have_equal_weights(net, back)
    assert torch.equal(run(net, name), run(back, name))


def test_shards_and_their_index(tmp_path: Path) -> None:
    net = build("RobertaPreLayerNormForMaskedLM")
    net.save_pretrained(tmp_path, max_shard_size=12_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in tmp_path.glob("model-*.safetensors"))
    assert len(files) > 2
    assert set(index["weight_map"].values()) == set(files)
    assert all((tmp_path / name).stat().st_size < 20_000 for name in files)
    reloaded = model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    theirs = transformers.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path).eval()
    name = "RobertaPreLayerNormForMaskedLM"
    assert torch.equal(run(net, name), run(reloaded, name))
    assert apart(run(net, name), run(theirs, name)) < 1e-5
    net.save_pretrained(tmp_path)  # one file again: the shards of the save before must not be taken for it
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../secret.safetensors"}}')
    with pytest.raises(ValueError, match="outside the folder"):
        model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)


def test_old_pickle_is_read_safely_and_after_safetensors(tmp_path: Path) -> None:
    name = "RobertaPreLayerNormForMaskedLM"
    net = build(name)
    net.config.save_pretrained(tmp_path)
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    assert torch.equal(run(net, name), run(model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path), name))

    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "marker"), "w")

    torch.save({"x": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(pickle.UnpicklingError):
        model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    assert not (tmp_path / "marker").exists()
    net.save_pretrained(tmp_path)
    assert torch.equal(run(net, name), run(model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path), name))


def test_a_missing_head_is_new_and_one_warning_names_it(tmp_path: Path) -> None:
    net = build("RobertaPreLayerNormForMaskedLM")
    net.save_pretrained(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.manual_seed(1)
        classifier = model.RobertaPreLayerNormForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    assert [str(item.message) for item in caught] == [
        f"classifier of RobertaPreLayerNormForSequenceClassification is not in {tmp_path} and newly initialized; "
        "train before you rely on it"
    ]
    assert caught[0].filename == __file__  # the line that called from_pretrained
    base = net.roberta_prelayernorm.state_dict()
    assert all(torch.equal(value, base[key]) for key, value in classifier.roberta_prelayernorm.state_dict().items())
    assert classifier.classifier.out_proj.weight.shape == (5, 24)
    assert 0.01 < float(classifier.classifier.dense.weight.std()) < 0.03
    assert float(classifier.classifier.dense.bias.abs().max()) == 0.0
    assert len(classifier.config.id2label) == 5
    loss = classifier(torch.tensor([[0, 5, 2]]), labels=torch.tensor([4])).loss
    loss.backward()
    assert all(item.grad is not None for item in classifier.parameters())
    with torch.device("meta"), pytest.warns(UserWarning, match="newly initialized"):
        again = model.RobertaPreLayerNormForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    assert not any(item.is_meta for item in again.parameters())


@pytest.mark.slow
def test_a_seed_gives_the_same_new_parts(tmp_path: Path) -> None:
    """Pooler and classifier are both new: in which order they are drawn must not depend on the hashes of their names."""
    build("RobertaPreLayerNormForMaskedLM").save_pretrained(tmp_path)
    program = (
        "import hashlib, sys, torch\n"
        "from prenorm_model import RobertaPreLayerNormForMultipleChoice as Model\n"
        "torch.manual_seed(1)\n"
        "net = Model.from_pretrained(sys.argv[1])\n"
        "print(hashlib.sha256(net.classifier.weight.detach().numpy().tobytes()).hexdigest())"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, tmp_path],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("3", "8")  # which order the names differently in a set, be they whole or their last parts
    ]  # fmt: skip
    assert len(set(digests)) == 1


def test_a_classifiers_folder_gives_a_language_model_a_new_tied_head(tmp_path: Path) -> None:
    net = build("RobertaPreLayerNormForSequenceClassification")
    net.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="lm_head of RobertaPreLayerNormForMaskedLM is not in"):
        masked = model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    table = net.get_input_embeddings().weight
    assert torch.equal(masked.get_input_embeddings().weight, table)
    assert masked.lm_head.decoder.weight is masked.get_input_embeddings().weight
    assert float(masked.lm_head.bias.detach().abs().max()) == 0.0
    assert float((masked.lm_head.layer_norm.weight - 1).detach().abs().max()) == 0.0


def test_headless_folders_and_poolers(tmp_path: Path) -> None:
    bare = build("RobertaPreLayerNormModel")
    bare.save_pretrained(tmp_path / "bare")
    with pytest.warns(UserWarning, match="lm_head"):
        masked = model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path / "bare")
    ids = torch.tensor([[0, 5, 2]])
    encoded = aligned(bare)(ids).last_hidden_state
    assert torch.equal(aligned(masked.roberta_prelayernorm)(ids).last_hidden_state, encoded)
    masked.save_pretrained(tmp_path / "masked")
    with pytest.warns(UserWarning, match="pooler of RobertaPreLayerNormModel is not in"):
        reloaded = model.RobertaPreLayerNormModel.from_pretrained(tmp_path / "masked")
    assert torch.equal(aligned(reloaded)(ids).last_hidden_state, encoded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = model.RobertaPreLayerNormModel.from_pretrained(tmp_path / "masked", add_pooling_layer=False)
    assert plain(ids).pooler_output is None


def test_mismatched_sizes_can_be_ignored(tmp_path: Path) -> None:
    build("RobertaPreLayerNormForTokenClassification").save_pretrained(tmp_path)
    cls = model.RobertaPreLayerNormForTokenClassification
    with pytest.raises(ValueError, match=r"classifier.weight is \[3, 24\] in the file, \[7, 24\] in the model"):
        cls.from_pretrained(tmp_path, num_labels=7)
    with pytest.warns(UserWarning, match=r"classifier.bias, classifier.weight of"):
        net = cls.from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert net.classifier.weight.shape == (7, 24)
    assert 0.01 < float(net.classifier.weight.detach().std()) < 0.03
    assert float(net.classifier.bias.detach().abs().max()) == 0.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, "float16", "auto", None])
def test_dtype_and_device(dtype: torch.dtype | str | None, tmp_path: Path) -> None:
    build("RobertaPreLayerNormForMaskedLM").save_pretrained(tmp_path)
    net = model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path, dtype=dtype, device="cpu")
    wanted = dtype if isinstance(dtype, torch.dtype) else torch.float16 if dtype == "float16" else torch.float32
    assert {item.dtype for item in net.parameters()} == {wanted}
    assert (net.dtype, net.device.type) == (wanted, "cpu")
    net.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["dtype"] == str(wanted).removeprefix("torch.")
    with pytest.raises(ValueError, match="dtype is 'int8x'"):
        model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path, dtype="int8x")


def test_nothing_is_initialized_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("RobertaPreLayerNormForMaskedLM").save_pretrained(tmp_path)

    def forbidden(tensor: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        assert tensor.is_meta, "a weight that is loaded was initialized first"
        return tensor

    for name in ("normal_", "zeros_", "ones_", "uniform_", "kaiming_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, forbidden)
    model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)


XL_NAMES = [name for name in NAMES if name != "RobertaPreLayerNormModel"]


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", XL_NAMES)
def test_xlm_roberta_xl_folders(name: str, tied: bool, tmp_path: Path) -> None:
    """The same model without a norm after the embeddings; loaded, computed, and saved back under its own names."""
    their_name = name.replace("RobertaPreLayerNorm", "XLMRobertaXL")
    values = {**settings(name), "tie_word_embeddings": tied}
    torch.manual_seed(0)
    theirs = getattr(transformers, their_name)(transformers.XLMRobertaXLConfig(**values)).eval()
    randomize(theirs)
    if not tied and hasattr(theirs, "lm_head"):  # transformers computes with the decoder's bias alone
        theirs.lm_head.bias.data.copy_(theirs.lm_head.decoder.bias)
    theirs.save_pretrained(tmp_path / "theirs")
    net = getattr(model, name).from_pretrained(tmp_path / "theirs")
    assert net.config.model_type == "xlm-roberta-xl"
    inputs = inputs_for(name)
    real = inputs["attention_mask"].bool() if "CausalLM" in name else slice(None)
    assert apart(net(**inputs)[0][real], theirs(**inputs)[0][real]) < 1e-5
    net.save_pretrained(tmp_path / "back")
    stored, original = load_file(tmp_path / "back" / "model.safetensors"), theirs.state_dict()
    assert all(torch.equal(value, original[key]) for key, value in stored.items())
    back, info = getattr(transformers, their_name).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(info.values()), info
    assert have_equal_weights(back, theirs)
    assert torch.equal(run(back.eval(), name), run(theirs, name))
    assert json.loads((tmp_path / "back" / "config.json").read_text())["architectures"] == [their_name]


def test_names_of_both_families_lead_back() -> None:
    for name in dict(build("RobertaPreLayerNormForCausalLM", add_cross_attention=True).named_parameters()):
        assert to_module(to_file(name, "xlm-roberta-xl"), "xlm-roberta-xl") == name
        assert to_file(name, "roberta-prelayernorm") == name


def test_what_is_no_folder_and_no_repo_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"has no config.json"):
        model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    build("RobertaPreLayerNormModel").config.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no model.safetensors and no pytorch_model.bin"):
        model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)


def test_an_untied_head_computes_with_its_decoders_bias(tmp_path: Path) -> None:
    """Trained by transformers, an untied head's two biases drift apart, and only the decoder's is used there."""
    theirs = transformers.RobertaPreLayerNormForMaskedLM(
        transformers.RobertaPreLayerNormConfig(**SMALL, tie_word_embeddings=False)
    ).eval()
    torch.nn.init.normal_(theirs.lm_head.decoder.bias)
    theirs.save_pretrained(tmp_path)
    ids = torch.tensor([[0, 5, 2]])
    net = model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    assert apart(net(ids).logits, theirs(ids).logits) < 1e-5
