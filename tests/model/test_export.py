"""Graphs of the bundled model: exported, traced, compiled, and in ONNX. One graph serves every batch, length and mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.export import Dim, export
from torch.utils import _pytree as pytree

from helpers.model_pairs import NAMES, SMALL, apart, inputs_for, pair

pytestmark = [
    pytest.mark.slow,
    # Of torch itself: `torch.jit.trace` is to go, and says so; what it says of sizes and values is what these tests try.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"),
]

MASKED, CAUSAL = "RobertaPreLayerNormForMaskedLM", "RobertaPreLayerNormForCausalLM"
LONGEST = SMALL["max_position_embeddings"] - 2


def example(name: str, *, full: bool = False) -> dict[str, torch.Tensor]:
    """What a graph is made from; `full`: nothing in it is masked, which eagerly takes another way."""
    inputs = {key: value for key, value in inputs_for(name).items() if key != "token_type_ids"}
    return {**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])} if full else inputs


def others(name: str) -> Iterator[dict[str, torch.Tensor]]:
    """Other batches, lengths and masks; the second is one that is computed without its pads where nothing is exported."""
    for rows, length in ((2, 7), (40, 20), (1, 5)):
        ids = torch.randint(2, SMALL["vocab_size"], (rows, length), generator=torch.Generator().manual_seed(rows))
        ids[: rows // 2, 3:] = 1
        inputs = {"input_ids": ids, "attention_mask": ids.ne(1).long()}
        yield {key: torch.stack([x, x], dim=1) for key, x in inputs.items()} if "Choice" in name else inputs


def sizes(inputs: dict[str, torch.Tensor], batch: Any, length: Any) -> dict[str, dict[int, Any]]:
    return {key: {0: batch, value.dim() - 1: length} for key, value in inputs.items()}


def assert_equal(graph: Any, net: Any, name: str, limit: float = 1e-10) -> None:
    """The graph's first output, at real tokens, where only there it means something."""
    for inputs in others(name):
        expected = net(**inputs)[0].detach()
        output = graph(**inputs)
        first = next(iter(output.values())) if isinstance(output, dict) else output[0]
        real = inputs["attention_mask"].bool()
        tokens = real if expected.shape[:2] == real.shape[:2] and real.dim() == 2 else slice(None)
        assert apart(first[tokens], expected[tokens]) < limit, tuple(real.shape)


@pytest.mark.parametrize(("name", "strict"), [*((name, False) for name in NAMES), (MASKED, True)])
def test_one_exported_graph_serves_all_sizes(name: str, strict: bool) -> None:
    net, _ = pair(name, num_hidden_layers=1)
    inputs = example(name, full=strict)
    program = export(net, (), inputs, dynamic_shapes=sizes(inputs, Dim("batch"), Dim("length")), strict=strict)
    assert_equal(program.module(), net, name)
    output = program.module()(**inputs)
    assert type(output) is type(net(**inputs))
    assert list(output) == list(net(**inputs))


def test_an_exported_decoder_goes_on_from_a_cache() -> None:
    net, _ = pair(CAUSAL)
    ids = example(CAUSAL)["input_ids"]

    def step(rows: int, past: int) -> dict[str, Any]:
        return {
            "input_ids": ids[:rows, past : past + 1].clone(),
            "past_key_values": net(ids[:rows, :past]).past_key_values,
        }

    batch, tokens = Dim("batch", max=64), Dim("tokens", max=LONGEST - 1)
    layers = [({0: batch, 2: tokens}, {0: batch, 2: tokens}) for _ in range(SMALL["num_hidden_layers"])]
    shapes = {"input_ids": {0: batch}, "past_key_values": [layers, {}, {0: batch, 1: tokens}]}
    with torch.no_grad():
        program = export(net, (), step(3, 8), dynamic_shapes=shapes)
        output = program.module()(**step(2, 5))
        assert apart(output.logits, net(ids[:2, :6]).logits[:, 5:]) < 1e-10
    assert output.past_key_values.get_seq_length() == 6


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_traced_graph_is_right_for_other_masks(name: str, full: bool) -> None:
    net, _ = pair(name)
    with torch.no_grad():
        graph = torch.jit.trace(net, example_kwarg_inputs=example(name, full=full), strict=False)
        assert_equal(graph, net, name)


@pytest.mark.parametrize("name", [MASKED, CAUSAL])
def test_one_compiled_graph_serves_all_sizes(name: str) -> None:
    torch._dynamo.reset()
    net, _ = pair(name, num_hidden_layers=1)
    counter = CompileCounter()
    compiled = torch.compile(net, backend=counter, fullgraph=True, dynamic=True)
    compiled(**example(name))
    assert_equal(compiled, net, name)
    assert counter.frame_count == 2  # torch itself makes another for a size of one


def test_sizes_that_are_open_in_a_graph_agree_with_known_ones() -> None:
    """A second batch leaves the sizes of its arguments open; those of an argument that comes later are known."""
    torch._dynamo.reset()
    net, _ = pair(MASKED, num_hidden_layers=1)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    compiled(**example(MASKED))
    compiled(**{key: value[:2, :9] for key, value in example(MASKED).items()})
    labels = example(MASKED)["input_ids"]
    inputs = {**inputs_for(MASKED), "labels": labels}
    assert apart(compiled(**inputs).loss, net(**inputs).loss) < 1e-10


def test_onnx_serves_all_sizes(tmp_path: Path) -> None:
    net, _ = pair(MASKED, torch.float32, num_hidden_layers=1)
    inputs = example(MASKED)
    program = torch.onnx.export(
        net, (), kwargs=inputs, dynamo=True, dynamic_shapes=sizes(inputs, "batch", "length"), verbose=False
    )
    assert program is not None
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")

    def graph(**inputs: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(x) for x in session.run(None, {key: x.numpy() for key, x in inputs.items()})]

    assert_equal(graph, net, MASKED, 1e-4)


def test_a_cache_is_a_node_of_torchs_trees() -> None:
    net, _ = pair(CAUSAL)
    with torch.no_grad():
        cache = net(example(CAUSAL)["input_ids"]).past_key_values
    tensors, tree = pytree.tree_flatten(cache)
    assert len(tensors) == 2 * SMALL["num_hidden_layers"] + 1
    again = pytree.tree_unflatten([x + 0 for x in tensors], tree)
    assert again.get_seq_length() == cache.get_seq_length()
    assert torch.equal(again.real, cache.real)
    assert all(torch.equal(a, b) for one, two in zip(again, cache, strict=True) for a, b in zip(one, two, strict=True))
