"""Outputs: ordered mappings, as transformers' are, whatever is done to them; and nodes of torch's trees."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.modeling_outputs
from torch.utils import _pytree as pytree

from helpers.model_pairs import NAMES, inputs_for, labels_for, pair, settings
from prenorm_model import MaskedLMOutput, RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM, outputs

LOSS, LOGITS, STATES = torch.tensor(0.5), torch.arange(4.0), (torch.zeros(2), torch.ones(2))
CLASSES = [MaskedLMOutput, transformers.modeling_outputs.MaskedLMOutput]


def set_loss(output: Any) -> Any:
    output.loss = LOSS
    return output


def set_item(output: Any) -> Any:
    output["attentions"] = STATES
    return output


def replace_both(output: Any) -> Any:
    output.logits = LOSS
    output["hidden_states"] = (LOSS,)
    return output


# What users and libraries do to an output with logits and states, and without a loss.
USES: dict[str, Callable[[Any], Any]] = {
    "names": list,
    "keys": lambda output: list(output.keys()),
    "values": lambda output: list(output.values()),
    "items": lambda output: list(output.items()),
    "length": len,
    "first": lambda output: output[0],
    "last": lambda output: output[-1],
    "slice": lambda output: output[:1],
    "rest": lambda output: output[1:],
    "name": lambda output: output["hidden_states"],
    "absent attribute": lambda output: output.loss,
    "get": lambda output: [output.get("logits"), output.get("loss"), output.get("loss", 7)],
    "in": lambda output: ["logits" in output, "loss" in output, "nonsense" in output],
    "tuple": lambda output: output.to_tuple(),
    "dict": lambda output: dict(output),
    "keywords": lambda output: dict(**output),
    "is a dict": lambda output: isinstance(output, dict),
    "set an attribute": lambda output: list(set_loss(output).items()),
    "set an item": lambda output: [set_item(output).attentions, list(output), output[2]],
    "replace": lambda output: [replace_both(output).to_tuple(), output.logits, output["logits"], output.hidden_states],
    "pickled": lambda output: [list(pickle.loads(pickle.dumps(output)).items()), pickle.loads(pickle.dumps(output)).loss],
    "copied": lambda output: [list(copy.copy(output).items()), list(copy.deepcopy(output).items())],
    "a copy's attribute": lambda output: [set_loss(copy.copy(output)).loss, output.loss],
    "dataclass": lambda output: [item.name for item in dataclasses.fields(output)],
    "replaced": lambda output: list(dataclasses.replace(output, loss=LOSS).items()),
    "from a mapping": lambda output: [type(output)(dict(output)).logits, list(type(output)(dict(output)))],
    "from pairs": lambda output: list(type(output)([(name, output[name]) for name in output]).items()),
    "from a generator": lambda output: list(type(output)((name, output[name]) for name in output).items()),
    "mapped": lambda output: list(pytree.tree_map(lambda tensor: tensor + 1, output).items()),
    "mapped class": lambda output: pytree.tree_map(torch.clone, output).__class__ is type(output),
    "leaves": lambda output: pytree.tree_leaves(output),
}  # fmt: skip


def plain(value: Any) -> Any:
    """A result with its tensors as lists, so that it can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("use", USES)
def test_an_output_behaves_as_transformers_does(use: str) -> None:
    ours, theirs = (plain(USES[use](output(logits=LOGITS, hidden_states=STATES))) for output in CLASSES)
    assert ours == theirs


@pytest.mark.parametrize("use", ["first", "name", "nonsense"])
def test_what_is_not_there_is_the_same_error(use: str) -> None:
    errors = []
    for output in CLASSES:
        with pytest.raises((IndexError, KeyError)) as caught:
            output()[{"first": 0, "name": "loss", "nonsense": "nonsense"}[use]]
        errors.append(caught.type)
    assert errors[0] is errors[1]


def test_a_field_set_to_none_leaves_the_mapping() -> None:
    output = MaskedLMOutput(LOSS, LOGITS)
    output.loss = None
    output["logits"] = None
    assert (list(output), output.to_tuple(), output.loss, output.logits) == ([], (), None, None)


@pytest.mark.parametrize("remove", ["pop", "del", "popitem", "clear"])
def test_an_item_that_is_removed_is_no_attribute_either(remove: str) -> None:
    output: MaskedLMOutput[torch.Tensor] = MaskedLMOutput(logits=LOGITS)
    if remove == "del":
        del output["logits"]
    else:
        getattr(output, remove)(*(["logits"] if remove == "pop" else []))
    assert (list(output), output.logits) == ([], None)


@pytest.mark.parametrize("name", NAMES)
def test_every_class_returns_the_names_of_transformers_in_order(name: str) -> None:
    ours, theirs = pair(name)
    theirs.set_attn_implementation("eager")
    options = {**inputs_for(name), **labels_for(name), "output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        mine, other = ours(**options), theirs(**options)
    renamed = {"cache": "past_key_values"}  # transformers 5.24's name for it
    empty = [
        key for key, value in other.items() if isinstance(value, tuple) and not value
    ]  # attention that is not there
    assert list(mine) == [renamed.get(key, key) for key in other if key not in empty]
    names = [item.name for item in dataclasses.fields(other)]
    assert [item.name for item in dataclasses.fields(mine)] == [renamed.get(name, name) for name in names]
    assert all(item.default is None for item in dataclasses.fields(mine))


def test_every_class_is_a_node() -> None:
    made = [item for item in vars(outputs).values() if isinstance(item, type) and issubclass(item, outputs.ModelOutput)]
    assert len(made) >= 8
    for output_class in made[1:]:
        if dataclasses.fields(output_class):
            output = output_class(hidden_states=STATES)
            assert len(pytree.tree_leaves(output)) == 2
            assert type(pytree.tree_map(torch.clone, output)) is output_class


def test_a_graph_returns_an_output(tmp_path: Path) -> None:
    """Compiled in one piece, exported, and exported to a file and back."""
    net = RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**settings("RobertaPreLayerNormForMaskedLM"))).eval()
    ids = torch.tensor([[0, 5, 6, 2]])
    exported = torch.export.export(net, (ids,), {"output_hidden_states": True}, strict=False)
    torch.export.save(exported, tmp_path / "model.pt2")
    expected = net(ids, output_hidden_states=True)
    for graph in (exported.module(), torch.export.load(tmp_path / "model.pt2").module()):
        output = graph(ids, output_hidden_states=True)
        assert type(output) is MaskedLMOutput
        assert list(output) == ["logits", "hidden_states"]
        torch.testing.assert_close(output.logits, expected.logits)


@pytest.mark.slow
def test_a_compiled_function_can_set_fields() -> None:
    def scaled(logits: torch.Tensor) -> MaskedLMOutput[torch.Tensor]:
        output = MaskedLMOutput(logits=logits)
        output["logits"] = output.logits * 2 if output.logits is not None and output.loss is None else None
        output.loss = output[0].sum()
        return output

    output = torch.compile(scaled, fullgraph=True, backend="eager")(LOGITS)
    assert plain(output) == {"logits": [0.0, 2.0, 4.0, 6.0], "loss": 12.0}
