"""Options of loading and saving: transformers' names in transformers' order, each with its effect or refused by name."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import modeling_utils

import prenorm_model as model
from helpers.model_pairs import SMALL, settings
from helpers.paths import OLD_TRANSFORMERS_PYTHON
from prenorm_model import (
    RobertaPreLayerNormConfig,
    RobertaPreLayerNormForMaskedLM,
    RobertaPreLayerNormForSequenceClassification,
    RobertaPreLayerNormModel,
)
from prenorm_model.options import IGNORED_LOADING, IGNORED_SAVING, UNSUPPORTED_LOADING, UNSUPPORTED_SAVING

SECRET = "hf_neverWriteThisDown"
NET, CONFIG = RobertaPreLayerNormForMaskedLM, RobertaPreLayerNormConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small masked LM."""
    made = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    NET(CONFIG(**SMALL)).save_pretrained(made)
    return made


def names(made: Path) -> list[str]:
    return sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())


# Names and order


def old_sources() -> list[Path]:
    """The files of transformers 4.57 that load and save."""
    assert OLD_TRANSFORMERS_PYTHON.exists(), "transformers 4.57 is not installed: run `make test`"
    root = next((OLD_TRANSFORMERS_PYTHON.parent.parent / "lib").glob("python*/site-packages/transformers"))
    return [root / "modeling_utils.py", root / "configuration_utils.py"]


def taken(source: str, name: str) -> tuple[list[str], set[str]]:
    """The parameters of the last function of that name, and what it takes out of its keywords."""
    function = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and node.name == name
    ][-1]
    parameters = [
        item.arg for item in (*function.args.args, *function.args.kwonlyargs) if item.arg not in ("self", "cls")
    ]
    popped = re.findall(r'kwargs\.(?:pop|get)\(\s*"([^_]\w*)"', ast.unparse(function).replace("'", '"'))
    return parameters, {*parameters, *popped}


@pytest.mark.parametrize("version", ["4", "5"])
@pytest.mark.parametrize(
    ("ours", "part", "name", "otherwise"),
    [
        (NET.from_pretrained, 0, "from_pretrained", {*UNSUPPORTED_LOADING, *IGNORED_LOADING}),
        (NET.save_pretrained, 0, "save_pretrained", {*UNSUPPORTED_SAVING, *IGNORED_SAVING}),
        (CONFIG.from_pretrained, 1, "from_pretrained", {*UNSUPPORTED_LOADING, *IGNORED_LOADING}),
        (CONFIG.save_pretrained, 1, "save_pretrained", set()),
        (CONFIG.from_dict, 1, "from_dict", CONFIG.settable_names()),
        (CONFIG.to_json_string, 1, "to_json_string", set()),
        (CONFIG.to_json_file, 1, "to_json_file", set()),
        (CONFIG.from_json_file, 1, "from_json_file", set()),
        (CONFIG.update, 1, "update", set()),
    ],
)
def test_every_option_is_there_or_refused(
    version: str, ours: Callable[..., Any], part: int, name: str, otherwise: set[str]
) -> None:
    new = [Path(str(inspect.getsourcefile(item))) for item in (modeling_utils, transformers.configuration_utils)]
    order, every = taken((old_sources() if version == "4" else new)[part].read_text(), name)
    pushing = {"repo_id", "commit_message", "create_pr", "token"} if name == "save_pretrained" else set()
    mine = [item for item in inspect.signature(ours).parameters if item != "self"]
    old = {"save_config", "ignore_metadata_errors"}  # what 4.57 warned of
    assert every - {*mine, *otherwise, *pushing, *old} == set()
    shared = [item for item in mine if item in order]
    assert shared == [item for item in order if item in shared]
    assert mine[0] == order[0]


def test_the_config_takes_its_fields_in_the_documented_order() -> None:
    documented = [
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
        "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size",
        "initializer_range", "layer_norm_eps", "pad_token_id", "bos_token_id", "eos_token_id", "position_embedding_type",
        "use_cache", "classifier_dropout",
    ]  # fmt: skip
    assert list(inspect.signature(CONFIG).parameters)[: len(documented)] == documented
    assert CONFIG(*range(24, 48, 24), 24, 1, 4).num_attention_heads == 4


# What is unknown, and what is refused


@pytest.mark.parametrize(
    "call",
    [
        lambda folder, **options: CONFIG(**options),
        lambda folder, **options: CONFIG.from_pretrained(folder, **options),
        lambda folder, **options: CONFIG.from_dict({}, **options),
        lambda folder, **options: NET.from_pretrained(folder, **options),
        lambda folder, **options: NET(CONFIG(**SMALL)).save_pretrained(folder / "no", **options),
        lambda folder, **options: CONFIG(**SMALL).save_pretrained(folder / "no", **options),
    ],
    ids=["Config", "Config.from_pretrained", "Config.from_dict", "model", "save", "Config.save_pretrained"],
)
def test_unknown_keywords_are_named_at_once(folder: Path, call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"arguments 'hiden_dropout_prob'.*, 'nonsense'"):
        call(folder, hiden_dropout_prob=0.3, nonsense=SECRET)
    assert not (folder / "no").exists()


def test_unknown_keywords_are_named_beside_a_config(folder: Path) -> None:
    with pytest.raises(TypeError, match="'nonsense'"):
        NET.from_pretrained(folder, config=CONFIG(**SMALL), nonsense=SECRET)


def test_a_misspelt_name_is_told_the_right_one(folder: Path) -> None:
    for made in (CONFIG, lambda **changes: CONFIG.from_pretrained(folder, **changes)):
        with pytest.raises(TypeError, match=r"'hiden_dropout_prob' \(did you mean 'hidden_dropout_prob'\?\)$"):
            made(hiden_dropout_prob=0.3)
    config = CONFIG()
    with pytest.raises(AttributeError, match=r"'num_label' \(did you mean 'num_labels'\?\)"):
        config.num_label = 3
    with pytest.raises(AttributeError, match="did you mean 'hidden_size'"):
        _ = config.hiden_size
    with pytest.raises(AttributeError, match=r"'hiden_size' .*, 'nonsense'"):
        config.update({"hidden_size": 24, "hiden_size": 24, "nonsense": 1})
    assert config.hidden_size == 768


def test_unused_keywords_can_be_returned(folder: Path) -> None:
    config, unused = CONFIG.from_pretrained(folder, return_unused_kwargs=True, num_labels=4, nonsense=1)  # type: ignore[misc]
    assert (config.num_labels, unused, config.extra) == (4, {"nonsense": 1}, {"architectures": [NET.__name__]})


@pytest.mark.parametrize("name", sorted(UNSUPPORTED_LOADING))
def test_what_is_not_done_is_refused_by_name_and_may_be_declined(folder: Path, name: str) -> None:
    for loading in (NET.from_pretrained, CONFIG.from_pretrained):
        with pytest.raises(ValueError, match=rf"from_pretrained does not take {name}: "):
            loading(folder, **{name: "something"})
        loading(folder, **{name: None})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights_only": False}, "weights_only=False"),
        ({"attn_implementation": "flash_attention_2"}, "no attn_implementation='flash_attention_2'"),
        ({"device_map": "auto"}, "device_map is 'auto'; it must be one device"),
        ({"device_map": {"lm_head": "cpu", "": "cpu"}}, "it must be one device"),
        ({"device": "nowhere"}, "device_map is 'nowhere'"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"dtype": "float16", "torch_dtype": "bfloat16"}, "dtype or torch_dtype, which are one"),
        ({"variant": "../secret"}, "variant is '../secret'"),
        ({"config": CONFIG(**SMALL), "num_labels": 3}, "num_labels: change the config that is passed"),
        ({"pretrained_model_name_or_path": None, "config": CONFIG(**SMALL)}, "needs a folder or a repo, or else both"),
        ({"pretrained_model_name_or_path": None, "state_dict": {}}, "needs a folder or a repo, or else both"),
        ({"pretrained_model_name_or_path": ""}, "needs a folder or a repo, or else both"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        NET.from_pretrained(**{"pretrained_model_name_or_path": folder, **options})


@pytest.mark.parametrize(
    "options", [{"safe_serialization": False}, {"save_function": torch.save}, {"repo_id": "lab/x"}]
)
def test_saving_refuses_by_name_and_writes_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        NET(CONFIG(**SMALL)).save_pretrained(tmp_path / "no", **options)
    assert not (tmp_path / "no").exists()


# What options do


def test_loading_options_have_their_effect(folder: Path, tmp_path: Path) -> None:
    reference = load_file(folder / "model.safetensors")
    (tmp_path / "inner").symlink_to(folder)
    (tmp_path / "other.json").write_text(
        json.dumps({**json.loads((folder / "config.json").read_text()), "num_labels": 7})
    )
    loaded = NET.from_pretrained(str(tmp_path), subfolder="inner", torch_dtype="float16", device_map={"": "cpu"})
    assert loaded.dtype == torch.float16
    assert loaded.config.name_or_path == f"{tmp_path}/inner"
    assert NET.from_pretrained(folder, config=tmp_path / "other.json").config.num_labels == 7
    assert RobertaPreLayerNormModel.from_pretrained(folder, False).pooler is None
    zeros = {name: torch.zeros_like(tensor) for name, tensor in reference.items()}
    emptied = NET.from_pretrained(None, config=CONFIG.from_pretrained(folder), state_dict=zeros)
    assert not any(bool(item.any()) for item in emptied.parameters())
    assert NET.from_pretrained(folder, low_cpu_mem_usage=True, attn_implementation="eager").device.type == "cpu"


def test_transformers_config_can_be_passed(folder: Path) -> None:
    theirs = transformers.RobertaPreLayerNormConfig(**SMALL, num_labels=3, is_decoder=True, eos_token_id=[2, 3])
    config = model.RobertaPreLayerNormForCausalLM.from_pretrained(folder, config=theirs).config
    assert isinstance(config, CONFIG)
    assert (config.num_labels, config.is_decoder, config.eos_token_id) == (3, True, [2, 3])
    with pytest.raises(TypeError, match=r"config is a transformers.*; RobertaPreLayerNormConfig.from_dict"):
        NET(theirs)  # type: ignore[arg-type]
    assert NET(CONFIG.from_dict(theirs.to_dict())).config.num_labels == 3
    with pytest.raises(TypeError, match="config is a dict, not a configuration"):
        NET.from_pretrained(folder, config={"vocab_size": 50})  # type: ignore[arg-type]


def test_a_config_that_is_passed_stays_as_it_was(folder: Path, tmp_path: Path) -> None:
    config = CONFIG.from_pretrained(folder)
    before = config.to_json_string()
    loaded = NET.from_pretrained(folder, config=config)
    loaded.config.num_labels = 5
    loaded.save_pretrained(tmp_path)
    assert (config.to_json_string(), config.num_labels) == (before, 2)


def test_the_type_of_the_weights_is_the_configs_where_none_is_asked_for(folder: Path, tmp_path: Path) -> None:
    """As transformers 5 does, without an option and with "auto"."""
    NET.from_pretrained(folder).save_pretrained(tmp_path)
    stated = json.loads((tmp_path / "config.json").read_text())
    for name, kept in (("dtype", {}), ("torch_dtype", {}), ("", {"torch_dtype": None})):
        values = (
            {key: value for key, value in stated.items() if key != "dtype"}
            | kept
            | ({name: "bfloat16"} if name else {})
        )
        (tmp_path / "config.json").write_text(json.dumps(values))
        for options in ({}, {"dtype": "auto"}):
            theirs = transformers.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path, **options).dtype
            assert NET.from_pretrained(tmp_path, **options).dtype == theirs
    for wanted in (torch.float64, "float64", "torch.float64", "double"):
        assert NET.from_pretrained(tmp_path, dtype=wanted).dtype == torch.float64


def test_loading_info_names_what_transformers_names(folder: Path, tmp_path: Path) -> None:
    name = "RobertaPreLayerNormForTokenClassification"
    getattr(model, name)(CONFIG(**settings(name))).save_pretrained(tmp_path)
    for source, options in ((folder, {}), (tmp_path, {"num_labels": 7, "ignore_mismatched_sizes": True})):
        with pytest.warns(UserWarning, match="newly initialized"):
            _, mine = getattr(model, name).from_pretrained(source, output_loading_info=True, **options)
        _, theirs = getattr(transformers, name).from_pretrained(source, output_loading_info=True, **options)
        assert mine.keys() >= {"missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"}
        assert mine["missing_keys"] == set(theirs["missing_keys"])
        assert mine["unexpected_keys"] == set(theirs["unexpected_keys"])
        assert {tuple(map(str, item)) for item in mine["mismatched_keys"]} == {
            (key, str(tuple(stored)), str(tuple(wanted))) for key, stored, wanted in theirs["mismatched_keys"]
        }
    assert next(iter(mine["mismatched_keys"])).wanted[0] == 7


def test_variants_lie_beside_each_other(tmp_path: Path) -> None:
    nets = {variant: NET(CONFIG(**SMALL)) for variant in (None, "fp16", "ema")}
    for variant, net in nets.items():
        net.save_pretrained(tmp_path, variant=variant, max_shard_size="5GB" if variant != "ema" else 12_000)
    nets["fp16"].save_pretrained(tmp_path, variant="fp16")
    assert {"model.safetensors", "model.fp16.safetensors", "model.safetensors.index.ema.json"} < set(names(tmp_path))
    for variant, net in nets.items():
        for other in (NET, transformers.RobertaPreLayerNormForMaskedLM):
            loaded = other.from_pretrained(tmp_path, variant=variant)
            assert torch.equal(loaded.lm_head.dense.weight, net.lm_head.dense.weight)
    with pytest.raises(FileNotFoundError, match=r"has no model.int8.safetensors and no pytorch_model.int8.bin"):
        NET.from_pretrained(tmp_path, variant="int8")
    nets["ema"].save_pretrained(tmp_path, variant="ema")
    assert sum("ema" in name for name in names(tmp_path)) == 1


def test_pickles_and_safetensors_can_be_asked_for(folder: Path, tmp_path: Path) -> None:
    net = NET.from_pretrained(folder)
    net.save_pretrained(tmp_path)
    doubled = {name: tensor * 2 for name, tensor in net.state_dict().items()}
    torch.save(doubled, tmp_path / "pytorch_model.bin")
    for choice, factor in ((None, 1), (True, 1), (False, 2)):
        loaded = NET.from_pretrained(tmp_path, use_safetensors=choice)
        assert torch.equal(loaded.lm_head.dense.weight, net.lm_head.dense.weight * factor)
    with pytest.raises(FileNotFoundError, match=r"has no pytorch_model.bin$"):
        NET.from_pretrained(folder, use_safetensors=False)


def test_saving_options_have_their_effect(folder: Path, tmp_path: Path) -> None:
    net = NET.from_pretrained(folder)
    net.save_pretrained(tmp_path / "none", is_main_process=False)
    assert not (tmp_path / "none").exists()
    doubled = {name: tensor * 2 for name, tensor in net.state_dict().items()}
    net.save_pretrained(tmp_path / "doubled", state_dict=doubled, token=SECRET, save_peft_format=True)
    loaded = transformers.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path / "doubled")
    assert torch.equal(loaded.lm_head.dense.weight, net.lm_head.dense.weight * 2)
    with pytest.raises(ValueError, match=r"could not be loaded again.*(?s:.*)missing: lm_head.dense.weight"):
        net.save_pretrained(tmp_path / "no", state_dict={k: v for k, v in doubled.items() if "dense" not in k})
    with pytest.raises(ValueError, match=r"lm_head.decoder.weight is not .*word_embeddings.weight, to which"):
        net.save_pretrained(tmp_path / "no", state_dict={**doubled, "lm_head.decoder.weight": torch.zeros(50, 24)})
    assert not (tmp_path / "no").exists()


def test_saving_leaves_the_model_as_it_was(folder: Path, tmp_path: Path) -> None:
    net = NET(CONFIG(**SMALL))
    before = net.config.to_json_string()
    net.save_pretrained(tmp_path)
    assert net.config.to_json_string() == before


def test_an_untied_head_is_saved_as_transformers_computes_with_it(folder: Path, tmp_path: Path) -> None:
    net = NET.from_pretrained(folder)
    net.config.tie_word_embeddings = False  # one tensor under two names, to be written twice
    weights = {**net.state_dict(), "lm_head.decoder.bias": torch.full((50,), 3.0), "lm_head.bias": torch.zeros(50)}
    net.save_pretrained(tmp_path / "ours")
    net.save_pretrained(tmp_path / "given", state_dict=weights)
    assert bool((NET.from_pretrained(tmp_path / "given").lm_head.bias == 3).all())
    loaded = transformers.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path / "ours")
    assert torch.equal(loaded.lm_head.decoder.weight, net.get_input_embeddings().weight)


@pytest.mark.parametrize("shard", [12_000, "12KB"])
def test_what_was_loaded_is_saved_in_shards_again(folder: Path, tmp_path: Path, shard: int | str) -> None:
    NET.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size=shard)
    assert sum(name.startswith("model-") for name in names(tmp_path)) > 2
    again = NET.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in load_file(folder / "model.safetensors").items())


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_files_have_the_mode_that_the_user_wants(tmp_path: Path, strict_umask: None) -> None:
    NET(CONFIG(**SMALL)).save_pretrained(tmp_path, max_shard_size=12_000)
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in names(tmp_path)} == {"0o640"}


def test_the_config_makes_its_folder_and_writes_all_or_nothing(tmp_path: Path) -> None:
    CONFIG(num_labels=3).save_pretrained(tmp_path / "a" / "b")
    assert CONFIG.from_json_file(tmp_path / "a" / "b" / "config.json").num_labels == 3
    config = CONFIG(task_specific_params={"x": object()})
    with pytest.raises(ValueError, match=r"cannot be written to config.json: .*object"):
        config.save_pretrained(tmp_path / "no")
    config = CONFIG()
    config.hidden_size, config.vocab_size = 25, 0
    with pytest.raises(ValueError, match="vocab_size is 0"):
        config.save_pretrained(tmp_path / "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(("text", "message"), [("[1]", "no JSON object"), ("{", "config.json: Expecting")])
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        CONFIG.from_pretrained(tmp_path)


# Nothing secret is written

OPTIONS = sorted({
    *inspect.signature(NET.from_pretrained).parameters, *UNSUPPORTED_LOADING, *IGNORED_LOADING, "api_key", "tokn",
    "name_or_path", "_name_or_path", "_commit_hash", "repo_id", "hf_token",
} - {"pretrained_model_name_or_path", "model_args", "changes"})  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_no_option_leads_to_a_file(folder: Path, tmp_path: Path, name: str) -> None:
    places = [RobertaPreLayerNormForSequenceClassification, NET, CONFIG]
    for number, cls in enumerate(places):
        try:
            made = cls.from_pretrained(folder, **{name: SECRET})
        except (TypeError, ValueError, FileNotFoundError) as error:
            assert name.removeprefix("torch_") in str(error) or isinstance(error, FileNotFoundError), error
            continue
        except AttributeError:
            assert name == "state_dict"  # which no text is
            continue
        made = made[0] if name == "output_loading_info" and cls is not CONFIG else made
        made.save_pretrained(tmp_path / str(number))
        config = made if cls is CONFIG else made.config
        config.to_json_file(tmp_path / f"{number}.json", use_diff=False)
        config.save_pretrained(tmp_path / f"{number}.config", token=SECRET)
        assert SECRET not in repr(config) + str(config.to_dict()) or name == "name_or_path"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), (name, path)
