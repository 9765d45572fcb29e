"""What is saved loads again, here and in both lines of transformers, whatever attribute of the config was set when."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import prenorm_model as model
from helpers.model_pairs import SMALL
from helpers.paths import SCRIPTS
from helpers.workers import old_transformers
from prenorm_model import RobertaPreLayerNormConfig
from prenorm_model.config_attributes import FIXED, INHERITED

pytestmark = pytest.mark.slow

Reader = Callable[..., dict[str, Any]]
CONFIG = "RobertaPreLayerNormConfig"
CLASSES = [
    f"RobertaPreLayerNorm{part}" for part in ("Model", "ForMaskedLM", "ForCausalLM", "ForSequenceClassification")
]
RATES, FLAGS = st.sampled_from([0, 0.0, 0.25, 1, 1.0]), st.booleans()
TYPES = st.sampled_from(["float32", "float16", "bfloat16", torch.float16, torch.float64, None])
# Values of every documented attribute, those that cannot be among them.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "vocab_size": st.sampled_from([50, 51, 0]),
    "hidden_size": st.sampled_from([24, 48, 25]),
    "num_hidden_layers": st.sampled_from([1, 2]),
    "num_attention_heads": st.sampled_from([1, 4, 5]),
    "intermediate_size": st.sampled_from([40, 8]),
    "hidden_act": st.sampled_from(["gelu", "relu", "gelu_new", "silu", torch.tanh]),
    "hidden_dropout_prob": RATES,
    "attention_probs_dropout_prob": RATES,
    "max_position_embeddings": st.sampled_from([24, 32]),
    "type_vocab_size": st.sampled_from([1, 2]),
    "initializer_range": st.sampled_from([0.02, 0, 1]),
    "layer_norm_eps": st.sampled_from([1e-5, 1e-12, 1, float("inf")]),
    "pad_token_id": st.sampled_from([0, 1, 3, None, 60]),
    "bos_token_id": st.sampled_from([0, 3, None]),
    "eos_token_id": st.sampled_from([2, None, [2], [2, 3]]),
    "use_cache": FLAGS,
    "classifier_dropout": st.none() | RATES,
    "is_decoder": FLAGS,
    "add_cross_attention": FLAGS,
    "tie_word_embeddings": FLAGS,
    "num_labels": st.sampled_from([1, 2, 3, 12]),
    "id2label": st.sampled_from(
        [None, {0: "no", 1: "yes"}, {"0": "a", "1": "b", "2": "c"}, {0: "only"}, {1: "LABEL_1"}]
    ),
    "label2id": st.sampled_from([None, {"no": 0, "yes": 1}, {"a": 1, "b": 0}]),
    "problem_type": st.sampled_from([None, "regression", "single_label_classification", "multi_label_classification"]),
    "output_attentions": FLAGS,
    "output_hidden_states": FLAGS,
    "return_dict": FLAGS,
    "use_return_dict": FLAGS,
    "dtype": TYPES,
    "torch_dtype": TYPES,
    "architectures": st.sampled_from([None, ["Somebody"]]),
    "chunk_size_feed_forward": st.sampled_from([0, 3]),
    "finetuning_task": st.sampled_from([None, "mnli"]),
    "prefix": st.sampled_from([None, "ü "]),
    "sep_token_id": st.sampled_from([None, 2]),
    "decoder_start_token_id": st.sampled_from([None, 0]),
    "task_specific_params": st.sampled_from([None, {"a": {"b": [1, None]}}]),
    "tokenizer_class": st.sampled_from([None, "RobertaTokenizerFast"]),
    "transformers_version": st.just("4.0.0"),
    "name_or_path": st.just("/somewhere"),
    "attn_implementation": st.sampled_from([None, "eager", "sdpa"]),
    "is_encoder_decoder": FLAGS,
    "torchscript": FLAGS,
    "pruned_heads": st.sampled_from([{}, {0: [1]}]),
}
CHANGES = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(lambda name: st.tuples(st.just(name), VALUES[name])), max_size=5
)
# What a library says of itself, or keeps elsewhere.
UNCOMPARED = {
    "transformers_version",
    "name_or_path",
    "attn_implementation",
    "use_return_dict",
    "torch_dtype",
    "pruned_heads",
}


def as_json(value: Any) -> Any:
    """A value as JSON has it, types by their names."""
    return json.loads(json.dumps(value, default=lambda item: str(item).removeprefix("torch.")))


@pytest.fixture(scope="module")
def old_reader() -> Iterator[Reader]:
    """Loads with transformers 4.57, in one process for all examples."""
    theirs, ours = os.pipe(), os.pipe()
    script = old_transformers().start(SCRIPTS / "old_transformers_loading.py", stdin=theirs[0], stdout=ours[1])
    for end in (theirs[0], ours[1]):
        os.close(end)
    with open(theirs[1], "w") as requests, open(ours[0]) as answers:  # noqa: PTH123
        assert answers.readline().startswith("4.57")

        def read(folder: Path, name: str, **options: Any) -> dict[str, Any]:
            requests.write(json.dumps([str(folder), name, options]) + "\n")
            requests.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield read
    assert script.wait() == 0


def new_reader(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    """Loads with transformers 5."""
    if name.endswith("Config"):
        config, info = getattr(transformers, name).from_pretrained(folder), {}
    else:
        net, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, **options)
        config = net.config
    values = {key: getattr(config, key, None) for key in VALUES if key not in UNCOMPARED}
    return {"config": as_json(values), "unfit": sorted(str(item) for items in info.values() for item in items)}


def check(folder: Path, name: str, config: RobertaPreLayerNormConfig, readers: list[Reader]) -> None:
    """Every reader loads the folder, without a weight too many or too few, and finds what the config says."""
    said = {key: as_json(getattr(config, key)) for key in VALUES if key not in UNCOMPARED}
    for read in readers:
        answer = read(folder, name)
        assert "error" not in answer, answer
        assert answer["unfit"] == []
        read_values = answer["config"]
        differing = {
            key: (value, read_values.get(key)) for key, value in said.items() if as_json(read_values.get(key)) != value
        }
        assert {key: pair for key, pair in differing.items() if not is_the_same(key, *pair)} == {}


def is_the_same(name: str, ours: Any, theirs: Any) -> bool:
    """Whether an attribute means the same: 4.57 prints types, and 5 has not what it never looks at."""
    if name == "dtype":
        return str(theirs).removeprefix("torch.") == str(ours)
    return theirs is None and name in (INHERITED | FIXED) and ours == (INHERITED | FIXED)[name]


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made_with=CHANGES, set_later=CHANGES)
@example([], [("num_labels", 3)])
@example([], [("problem_type", "single_label_classification"), ("num_labels", 1)])
@example([("num_labels", 3)], [("id2label", None), ("torch_dtype", torch.float16)])
@example([("eos_token_id", [2, 3])], [("label2id", {"no": 0, "yes": 1})])
@example([], [("layer_norm_eps", 1), ("initializer_range", 0)])
def test_a_config_is_read_as_it_was_set(
    old_reader: Reader, made_with: list[tuple[str, Any]], set_later: list[tuple[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved")
        try:
            config = RobertaPreLayerNormConfig(**{**SMALL, **dict(made_with)})
            for name, value in set_later:
                setattr(config, name, value)
            config.save_pretrained(path)
        except ValueError:
            assert not path.exists()
            return
        back = RobertaPreLayerNormConfig.from_pretrained(path)
        assert back == config
        assert back.to_json_string() == config.to_json_string()
        check(path, CONFIG, config, [new_reader, old_reader])


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(CLASSES), made_with=CHANGES, set_later=CHANGES)
@example(CLASSES[0], [], [("add_cross_attention", True), ("is_decoder", True)])
@example(CLASSES[0], [], [("num_hidden_layers", 1)])
@example(CLASSES[1], [], [("tie_word_embeddings", False)])
@example(CLASSES[1], [("tie_word_embeddings", False)], [("tie_word_embeddings", True)])
@example(CLASSES[3], [], [("num_labels", 3)])
@pytest.mark.filterwarnings("ignore:is_decoder is False")
def test_a_model_loads_again_whatever_was_set_when(
    old_reader: Reader, name: str, made_with: list[tuple[str, Any]], set_later: list[tuple[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved")
        try:
            net = getattr(model, name)(RobertaPreLayerNormConfig(**{**SMALL, **dict(made_with)}))
            for key, value in set_later:
                setattr(net.config, key, value)
            net.save_pretrained(path)
        except ValueError:
            assert not path.exists()
            return
        back, info = getattr(model, name).from_pretrained(path, output_loading_info=True)
        assert not any(info.values()), info
        weights = net.state_dict()
        assert all(torch.equal(weights[key], item) for key, item in back.state_dict().items())
        check(path, name, back.config, [new_reader, old_reader])


@pytest.mark.parametrize("positions", ["relative_key", "relative_key_query"])
def test_relative_positions_are_read_where_there_are_some(old_reader: Reader, positions: str, tmp_path: Path) -> None:
    """Later releases of transformers have none."""
    net = model.RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**SMALL, position_embedding_type=positions))
    net.save_pretrained(tmp_path)
    answer = old_reader(tmp_path, "RobertaPreLayerNormForMaskedLM")
    assert (answer["unfit"], answer["config"]["position_embedding_type"]) == ([], positions)


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_are_read_by_both(old_reader: Reader, variant: str | None, tmp_path: Path) -> None:
    net = model.RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**SMALL))
    net.save_pretrained(tmp_path, max_shard_size="12KB", variant=variant)
    assert len(list(tmp_path.glob("model*-of-*.safetensors"))) > 2
    for read in (new_reader, old_reader):
        answer = read(tmp_path, "RobertaPreLayerNormForMaskedLM", **({} if variant is None else {"variant": variant}))
        assert (answer.get("error"), answer.get("unfit")) == (None, [])
