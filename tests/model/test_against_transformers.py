"""Every class against transformers 5.x with copied weights: outputs, losses, gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional

from helpers.model_pairs import NAMES, SMALL, apart, batch, inputs_for, labels_for, pair
from prenorm_model.config import ACTIVATIONS

pytestmark = pytest.mark.slow

DTYPES = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


def scores(output: Any) -> list[torch.Tensor]:
    names = ("logits", "start_logits", "end_logits", "last_hidden_state", "pooler_output")
    return [value for name in names if (value := getattr(output, name, None)) is not None]


@pytest.mark.parametrize(("dtype", "limit"), DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_losses(name: str, dtype: torch.dtype, limit: float) -> None:
    ours, theirs = pair(name, dtype)
    inputs, labels = inputs_for(name), labels_for(name)
    mine, other = ours(**inputs, **labels), theirs(**inputs, **labels)
    assert len(scores(mine)) == len(scores(other)) > 0
    # A decoder's pads before or behind the text see what they like; every other output is compared whole.
    compared = inputs["attention_mask"].bool() if "CausalLM" in name else slice(None)
    for left, right in zip(scores(mine), scores(other), strict=True):
        assert apart(left[compared], right[compared]) < limit
    if labels:
        expected = other.loss
        if "CausalLM" in name:  # transformers rounds these logits to float32 before the loss
            expected = functional.cross_entropy(other.logits[:, :-1].flatten(0, 1), labels["labels"][:, 1:].flatten())
        assert apart(mine.loss, expected) < limit


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_every_parameter(name: str) -> None:
    ours, theirs = pair(name)
    inputs, labels = inputs_for(name), labels_for(name)

    def backward(model: Any) -> dict[str, torch.Tensor]:
        output = model(**inputs, **labels)
        if not labels:
            loss = output.last_hidden_state.square().mean() + output.pooler_output.square().mean()
        elif "CausalLM" in name:
            loss = functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), labels["labels"][:, 1:].flatten())
        else:
            loss = output.loss
        loss.backward()
        return {key: value.grad for key, value in model.named_parameters()}

    mine, other = backward(ours), backward(theirs)
    assert mine.keys() == other.keys()
    for key in mine:
        assert other[key] is not None, key
        assert apart(mine[key], other[key]) < 1e-9, key


@pytest.mark.parametrize(("dtype", "limit"), DTYPES)
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("kind", ["none", "2-D", "3-D", "float"])
def test_masks_and_padding_sides(kind: str, left: bool, dtype: torch.dtype, limit: float) -> None:
    ours, theirs = pair("RobertaPreLayerNormModel", dtype)
    ids, mask = batch(left=left)
    real = mask.bool()
    if kind == "none":
        passed = None
    elif kind == "3-D":
        passed = mask[:, None, :].expand(-1, ids.shape[1], -1).clone()
        passed[0, 5:, :4] = 0
    else:
        passed = mask.float() if kind == "float" else mask
    # transformers 5 takes a mask per query only as an additive one of four dimensions
    additive = None if passed is None else passed
    if kind == "3-D":
        additive = torch.zeros(passed[:, None].shape, dtype=dtype).masked_fill(
            passed[:, None] == 0, torch.finfo(dtype).min
        )
    mine = ours(ids, attention_mask=passed).last_hidden_state
    other = theirs(ids, attention_mask=additive).last_hidden_state
    assert apart(mine[real], other[real]) < limit


@pytest.mark.parametrize(("dtype", "limit"), DTYPES)
def test_custom_positions_and_given_embeddings(dtype: torch.dtype, limit: float) -> None:
    ours, theirs = pair("RobertaPreLayerNormForMaskedLM", dtype)
    ids, mask = batch()
    positions = torch.randint(
        0, SMALL["max_position_embeddings"], ids.shape, generator=torch.Generator().manual_seed(2)
    )
    assert apart(ours(ids, mask, None, positions).logits, theirs(ids, mask, None, positions).logits) < limit
    embeds = ours.get_input_embeddings()(ids).detach() * 1.5
    mine, other = ours(inputs_embeds=embeds, attention_mask=mask), theirs(inputs_embeds=embeds, attention_mask=mask)
    assert apart(mine.logits, other.logits) < limit
    shared = torch.arange(2, 14)[None]
    assert apart(ours(ids, mask, position_ids=shared).logits, theirs(ids, mask, position_ids=shared).logits) < limit


@pytest.mark.parametrize(("dtype", "limit"), DTYPES)
def test_attentions_and_hidden_states(dtype: torch.dtype, limit: float) -> None:
    ours, theirs = pair("RobertaPreLayerNormModel", dtype)
    theirs.set_attn_implementation("eager")
    ids, mask = batch()
    mine = ours(ids, mask, output_attentions=True, output_hidden_states=True)
    # transformers' last entry has been before and after the final norm, by release: ask its layers themselves
    states: list[torch.Tensor] = []
    theirs.embeddings.register_forward_hook(lambda module, inputs, output: states.append(output))
    for layer in theirs.encoder.layer:
        layer.register_forward_hook(lambda module, inputs, output: states.append(output))
    other = theirs(ids, attention_mask=mask, output_attentions=True)
    assert len(mine.hidden_states) == len(states) == 3
    assert len(mine.attentions) == len(other.attentions) == 2
    real = mask.bool()
    for left, right in zip(mine.hidden_states, states, strict=True):
        assert apart(left[real], right[real]) < limit
    for left, right in zip(mine.attentions, other.attentions, strict=True):
        assert apart(left, right) < limit
    assert apart(mine.last_hidden_state, ours(ids, mask).last_hidden_state) < limit


@pytest.mark.parametrize(("dtype", "limit"), DTYPES)
@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention(masked: bool, dtype: torch.dtype, limit: float) -> None:
    ours, theirs = pair("RobertaPreLayerNormForCausalLM", dtype, add_cross_attention=True)
    ids, mask = batch()
    states = torch.randn(3, 7, SMALL["hidden_size"], generator=torch.Generator().manual_seed(4)).to(dtype)
    seen = torch.ones(3, 7, dtype=torch.long)
    seen[1, 4:] = 0
    options = {"encoder_hidden_states": states, **({"encoder_attention_mask": seen} if masked else {})}
    mine, other = ours(ids, mask, **options).logits, theirs(ids, attention_mask=mask, **options).logits
    assert apart(mine[mask.bool()], other[mask.bool()]) < limit
    weights = ours(ids, mask, output_attentions=True, **options).cross_attentions
    assert [tuple(item.shape) for item in weights] == [(3, 4, 12, 7)] * 2
    if masked:
        assert float(weights[0][1, :, :, 4:].detach().abs().max()) == 0.0


@pytest.mark.parametrize(("dtype", "limit"), DTYPES)
@pytest.mark.parametrize("cross", [False, True])
def test_cache_gives_the_logits_of_the_full_forward_and_of_transformers(
    cross: bool, dtype: torch.dtype, limit: float
) -> None:
    ours, theirs = pair("RobertaPreLayerNormForCausalLM", dtype, add_cross_attention=cross)
    ids = batch(rows=1)[0].expand(3, -1).clone()
    states = torch.randn(3, 7, SMALL["hidden_size"], generator=torch.Generator().manual_seed(4)).to(dtype)
    options = {"encoder_hidden_states": states} if cross else {}
    full = ours(ids, use_cache=False, **options).logits
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            cache = their_cache = None
            for start, end in ((0, 5), (5, 6), (6, 9), (9, 12)):
                mine = ours(ids[:, start:end], past_key_values=cache, use_cache=True, **options)
                other = theirs(ids[:, start:end], past_key_values=their_cache, use_cache=True, **options)
                cache, their_cache = mine.past_key_values, other.past_key_values
                assert apart(mine.logits, full[:, start:end]) < limit
                assert apart(mine.logits, other.logits) < limit
            assert cache.get_seq_length() == 12


def test_cache_with_left_padding_is_the_full_forward() -> None:
    ours, _ = pair("RobertaPreLayerNormForCausalLM")
    ids, mask = batch(left=True)
    full = ours(ids, mask, use_cache=False).logits
    cache = None
    for start, end in ((0, 6), (6, 7), (7, 12)):
        step = ours(ids[:, start:end], mask[:, :end], past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        real = mask[:, start:end].bool()
        assert apart(step.logits[real], full[:, start:end][real]) < 1e-10


def test_logits_to_keep() -> None:
    ours, theirs = pair("RobertaPreLayerNormForCausalLM")
    ids, _ = batch()
    for keep in (1, 3, torch.tensor([0, 4])):
        mine = ours(ids, logits_to_keep=keep).logits
        assert mine.shape[1] == (keep if isinstance(keep, int) else 2)
        assert apart(mine, theirs(ids, logits_to_keep=keep).logits) < 1e-10


@pytest.mark.parametrize(
    ("count", "kind", "labels"),
    [
        (1, None, torch.tensor([0.5, -1.0, 2.0])),
        (1, "regression", torch.tensor([[0.5], [-1.0], [2.0]])),
        (3, "regression", torch.randn(3, 3)),
        (3, None, torch.tensor([2, 0, 1])),
        (3, None, torch.tensor([[1.0, 0.0, 1.0]] * 3)),
        (3, "multi_label_classification", torch.tensor([[1.0, 0.0, 1.0]] * 3)),
    ],
)
def test_problem_types(count: int, kind: str | None, labels: torch.Tensor) -> None:
    labels = labels.double() if labels.is_floating_point() else labels
    ours, theirs = pair("RobertaPreLayerNormForSequenceClassification", num_labels=count, problem_type=kind)
    ids, mask = batch()
    assert apart(ours(ids, mask, labels=labels).loss, theirs(ids, mask, labels=labels).loss) < 1e-10


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activations(act: str) -> None:
    ours, theirs = pair("RobertaPreLayerNormModel", hidden_act=act)
    ids, mask = batch()
    assert apart(ours(ids, mask).last_hidden_state, theirs(ids, attention_mask=mask).last_hidden_state) < 1e-10


def test_callable_activation() -> None:
    ours, theirs = pair("RobertaPreLayerNormModel", hidden_act="relu")
    called, _ = pair("RobertaPreLayerNormModel")
    for layer in called.encoder.layer:
        layer.intermediate.act = torch.relu
    ids, mask = batch()
    assert apart(called(ids, mask).last_hidden_state, theirs(ids, attention_mask=mask).last_hidden_state) < 1e-10
    import prenorm_model as model

    config = model.RobertaPreLayerNormConfig(**{**SMALL, "hidden_act": torch.relu})
    configured = model.RobertaPreLayerNormModel(config).double().eval()
    configured.load_state_dict(ours.state_dict())
    assert apart(configured(ids, mask).last_hidden_state, ours(ids, mask).last_hidden_state) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_state_dicts_and_parameters_are_in_the_same_order(name: str) -> None:
    """Of the parameters too: the state of an optimizer knows them by nothing else."""
    changes = {"add_cross_attention": True, "tie_word_embeddings": False} if "Causal" in name else {}
    ours, theirs = pair(name, **changes)
    shapes = [[(key, tuple(value.shape)) for key, value in item.state_dict().items()] for item in (ours, theirs)]
    assert shapes[0] == shapes[1]
    names = [[key for key, _ in item.named_parameters()] for item in (ours, theirs)]
    assert names[0] == [key for key in names[1] if key != "lm_head.decoder.bias"]  # which ours ties in any case


def test_an_optimizers_state_carries_over() -> None:
    ours, theirs = pair("RobertaPreLayerNormForSequenceClassification")
    inputs, labels = inputs_for("Sequence"), labels_for("Sequence")
    optimizers = [torch.optim.AdamW(net.parameters(), lr=0.01) for net in (ours, theirs)]

    def step(net: Any, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        net(**inputs, **labels).loss.backward()
        optimizer.step()

    step(ours, optimizers[0])
    theirs.load_state_dict(ours.state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    step(ours, optimizers[0])
    step(theirs, optimizers[1])
    for (key, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if "key.bias" not in key:  # whose gradient is rounding alone
            assert apart(mine, other) < 1e-8, key


def test_an_output_is_read_by_name_and_by_index() -> None:
    ours, _ = pair("RobertaPreLayerNormForSequenceClassification")
    ids, mask = batch()
    output = ours(ids, mask, labels=torch.tensor([0, 1, 2]))
    loss, logits = output.to_tuple()
    assert output["loss"] is output[0] is output.loss is loss
    assert output["logits"] is output[1] is logits
    assert output.to_tuple() == output[:] == (loss, logits)
    assert "attentions" not in output
    assert len(ours(ids, mask)) == 1
    assert ours(ids, mask)[0].shape == (3, 3)
    plain = ours(ids, mask, return_dict=False)
    assert isinstance(plain, tuple)
    assert apart(plain[0], logits) == 0.0
    with pytest.raises(KeyError):
        output["attentions"]
