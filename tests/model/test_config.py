"""The configuration: what it says, under every name, whenever it was set."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from helpers.model_pairs import SMALL
from prenorm_model import RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM

Theirs = transformers.RobertaPreLayerNormConfig
THREE = {0: "a", 1: "b", 2: "c"}


def test_labels_follow_what_was_set_last() -> None:
    ours, theirs = RobertaPreLayerNormConfig(), Theirs()
    for config in (ours, theirs):
        config.num_labels = 3
    assert (ours.id2label, ours.label2id) == (theirs.id2label, theirs.label2id)
    ours.id2label = {str(number): label for number, label in THREE.items()}  # type: ignore[misc]
    assert (ours.num_labels, ours.id2label, ours.label2id) == (3, THREE, {"a": 0, "b": 1, "c": 2})
    ours.num_labels = 3  # as many as there are: the names stay
    assert ours.id2label == THREE
    ours.label2id = {"a": 5}
    assert (ours.label2id, ours.id2label) == ({"a": 5}, THREE)
    ours.id2label[3] = "d"
    assert ours.num_labels == ours.label_count == 4
    ours.num_labels = 1
    assert (ours.id2label, ours.label2id) == ({0: "LABEL_0"}, {"LABEL_0": 0})


@pytest.mark.parametrize(
    ("stated", "changes", "names"),
    [
        ({}, {}, ["LABEL_0", "LABEL_1"]),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 7}, {}, ["a", "b", "c"]),
        ({"id2label": THREE, "label2id": {"a": 0}}, {"num_labels": 3}, ["a", "b", "c"]),
        ({"id2label": THREE, "label2id": {"a": 0}}, {"num_labels": 1}, ["LABEL_0"]),
        ({"id2label": THREE, "label2id": {"a": 0}}, {"id2label": {0: "x", 1: "y"}}, ["x", "y"]),
        ({"num_labels": 3}, {"id2label": {0: "x", 1: "y"}}, ["x", "y"]),
        ({"num_labels": 3}, {}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
    ],
)
def test_labels_of_a_file_and_of_the_caller(stated: dict[str, Any], changes: dict[str, Any], names: list[str]) -> None:
    config = RobertaPreLayerNormConfig.from_dict(stated, **changes)
    assert config.id2label == dict(enumerate(names))
    assert config.num_labels == len(names)
    assert config.label2id == stated.get("label2id", dict(zip(names, range(len(names)), strict=True))) or changes


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_labels", 0, "num_labels is 0, not a positive integer"),
        ("id2label", {}, "id2label is {}, not names by number"),
        ("id2label", {"x": "a"}, "not names by number"),
        ("label2id", {"a": "b"}, "not numbers by name"),
    ],
)
def test_labels_that_cannot_be_are_refused_when_they_are_set(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        setattr(RobertaPreLayerNormConfig(), name, value)
    with pytest.raises(ValueError, match=message):
        RobertaPreLayerNormConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "int8"}, "dtype is 'int8', not one of bfloat16"),
        ({"hidden_dropout_prob": True}, "hidden_dropout_prob is True, not a rate"),
        ({"use_cache": 1}, "use_cache is 1, not True or False"),
        ({"eos_token_id": [2, "x"]}, "eos_token_id is .*, not a token's number, or a list"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps is inf"),
        ({"initializer_range": float("nan")}, "initializer_range is nan"),
        ({"is_encoder_decoder": True, "pruned_heads": {0: [1]}}, "is_encoder_decoder is True.*pruned_heads is"),
        ({"chunk_size_feed_forward": -1, "architectures": "X"}, "chunk_size_feed_forward is -1.*architectures is 'X'"),
        ({"attn_implementation": "flash_attention_2"}, "attn_implementation is 'flash_attention_2'"),
    ],
)
def test_values_that_cannot_be_are_named_at_once(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"the configuration cannot work: .*{message}"):
        RobertaPreLayerNormConfig(**changes)
    config = RobertaPreLayerNormConfig()
    with pytest.raises(ValueError, match=message):
        for name, value in changes.items():
            setattr(config, name, value)
        config.validate()


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [
        ("torch_dtype", "dtype", "float16"),
        ("use_return_dict", "return_dict", False),
        ("name_or_path", "_name_or_path", "x"),
    ],
)
def test_aliases_are_the_attribute(alias: str, name: str, value: Any) -> None:
    assert RobertaPreLayerNormConfig.attribute_map[alias] == name
    made = RobertaPreLayerNormConfig(**{alias: value})
    assert getattr(made, name) == getattr(made, alias) == value
    config = RobertaPreLayerNormConfig()
    setattr(config, alias, value)
    assert getattr(config, name) == getattr(config, alias) == value
    assert alias not in config.to_dict()
    read = RobertaPreLayerNormConfig.from_dict({alias: value})
    assert getattr(read, name) == value
    both = RobertaPreLayerNormConfig.from_dict({"torch_dtype": "float64", "dtype": "bfloat16"})
    assert both.dtype == Theirs.from_dict({"torch_dtype": "float64", "dtype": "bfloat16"}).to_dict()["dtype"]


def test_a_frameworks_type_is_kept_by_its_name() -> None:
    config = RobertaPreLayerNormConfig(dtype=torch.bfloat16)  # type: ignore[arg-type]
    assert (config.dtype, json.loads(config.to_json_string())["dtype"]) == ("bfloat16", "bfloat16")


def test_inherited_attributes_have_transformers_defaults() -> None:
    ours, theirs = RobertaPreLayerNormConfig(), Theirs()
    for name in ("architectures", "chunk_size_feed_forward", "is_encoder_decoder", "name_or_path", "return_dict"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_text_config(decoder=True) is ours


@pytest.mark.parametrize(
    "changes", [{}, {"num_labels": 3, "dtype": "float16", "eos_token_id": [2, 3], "finetuning_task": "x"}]
)
def test_either_reads_the_others_dictionary(changes: dict[str, Any]) -> None:
    ours, theirs = RobertaPreLayerNormConfig(**SMALL, **changes), Theirs(**SMALL, **changes)
    said, told = ours.to_dict(), theirs.to_dict()
    extra = {"position_embedding_type"}  # which transformers 5 does not have
    assert {name: told.get(name) for name in said.keys() - extra} == {name: said[name] for name in said.keys() - extra}
    assert RobertaPreLayerNormConfig.from_dict(told).to_dict().items() >= said.items()
    assert Theirs.from_dict(ours.to_dict()).to_diff_dict().items() >= theirs.to_diff_dict().items()


def test_json_states_differences_or_everything(tmp_path: Path) -> None:
    config = RobertaPreLayerNormConfig(num_labels=3, is_decoder=True)
    short, full = json.loads(config.to_json_string()), json.loads(config.to_json_string(use_diff=False))
    assert {"is_decoder", "id2label", "vocab_size"} < short.keys() < full.keys()
    assert full.keys() - short.keys() >= {"use_cache", "return_dict", "problem_type"}
    assert config.to_diff_dict().keys() == short.keys()
    for use_diff in (True, False):
        config.to_json_file(tmp_path / "x.json", use_diff=use_diff)
        assert RobertaPreLayerNormConfig.from_json_file(tmp_path / "x.json") == config
    renamed = RobertaPreLayerNormConfig(label2id={"no": 0, "yes": 1})  # with the default names by number
    assert RobertaPreLayerNormConfig.from_dict(renamed.to_diff_dict()).label2id == {"no": 0, "yes": 1}


def test_copies_are_equal_and_independent() -> None:
    config = RobertaPreLayerNormConfig(num_labels=3, architectures=["X"], name_or_path="somewhere", extra={"more": [1]})
    copies = [copy.deepcopy(config), pickle.loads(pickle.dumps(config)), dataclasses.replace(config)]
    for other in (*copies, copy.copy(config)):
        assert other == config
        assert other.num_labels == 3
    for other in copies:
        other.num_labels = 2
        assert (config.num_labels, config != other) == (3, True)
    assert (copies[0].name_or_path, copies[0].more) == ("somewhere", [1])
    copies[0].more = [2]
    assert (copies[0].extra["more"], config.extra["more"]) == ([2], [1])
    config.to_dict()["id2label"][7] = "x"
    assert 7 not in config.id2label  # type: ignore[operator]


def test_update_sets_what_there_is() -> None:
    config = RobertaPreLayerNormConfig()
    config.update({"num_labels": 4, "torch_dtype": "float16", "architectures": ["X"]})
    assert (config.label_count, config.dtype, config.architectures) == (4, "float16", ["X"])


def test_a_model_is_not_made_of_what_was_broken_afterwards() -> None:
    config = RobertaPreLayerNormConfig(**SMALL)
    config.num_attention_heads = 5
    with pytest.raises(ValueError, match="num_attention_heads=5 does not divide hidden_size=24"):
        RobertaPreLayerNormForMaskedLM(config)


def test_what_transformers_would_not_read_is_not_written(tmp_path: Path) -> None:
    config = RobertaPreLayerNormConfig(**SMALL, problem_type="single_label_classification", num_labels=1)
    with pytest.raises(ValueError, match="single_label_classification, and there is one label"):
        config.save_pretrained(tmp_path / "no")
    assert not (tmp_path / "no").exists()
    with pytest.raises(ValueError, match="single_label_classification"):
        Theirs(problem_type="single_label_classification", num_labels=1)
