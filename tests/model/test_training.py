"""Training: a step lowers the loss, initialization, dropout, checkpointing, compiling, autocast, resizing, packing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import prenorm_model as model
import prenorm_model.torch.packing as packing
from helpers.model_pairs import NAMES, SMALL, apart, batch, inputs_for, labels_for, settings

pytestmark = pytest.mark.slow


def build(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    return getattr(model, name)(model.RobertaPreLayerNormConfig(**{**settings(name), **changes}))


def loss_of(net: Any, name: str) -> torch.Tensor:
    inputs, labels = inputs_for(name), labels_for(name)
    if labels:
        loss: torch.Tensor = net(**inputs, **labels).loss
        return loss
    return (net(**inputs).last_hidden_state - 1).square().mean()


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_lowers_the_loss(name: str) -> None:
    net = build(name, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    before = loss_of(net, name)
    before.backward()
    optimizer.step()
    assert loss_of(net, name).item() < before.item()


def test_initialization_is_seeded_and_as_documented() -> None:
    one, two = (
        build("RobertaPreLayerNormForMaskedLM", hidden_size=240),
        build("RobertaPreLayerNormForMaskedLM", hidden_size=240),
    )
    assert all(torch.equal(left, right) for left, right in zip(one.parameters(), two.parameters(), strict=True))
    base = one.roberta_prelayernorm
    assert 0.019 < base.encoder.layer[0].intermediate.dense.weight.std().item() < 0.021
    assert float(base.embeddings.word_embeddings.weight[1].abs().max()) == 0.0
    assert float(base.embeddings.position_embeddings.weight[1].abs().max()) == 0.0
    assert 0.018 < base.embeddings.word_embeddings.weight[2:].std().item() < 0.022
    for name, parameter in one.named_parameters():
        if name.endswith("bias"):
            assert float(parameter.abs().max()) == 0.0, name
        elif name.endswith(("LayerNorm.weight", "layer_norm.weight")):
            assert float((parameter - 1).abs().max()) == 0.0, name
    assert one.lm_head.decoder.weight is base.embeddings.word_embeddings.weight


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("RobertaPreLayerNormModel", {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.0}),
        ("RobertaPreLayerNormModel", {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5}),
        ("RobertaPreLayerNormForTokenClassification",
         {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.5}),
        ("RobertaPreLayerNormForSequenceClassification",
         {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.5}),
    ],
)  # fmt: skip
def test_each_dropout_acts_in_training_alone(name: str, rates: dict[str, float]) -> None:
    net = build(name, **rates)
    inputs = inputs_for(name)
    net.train()
    assert apart(net(**inputs)[0], net(**inputs)[0]) > 0
    net.eval()
    assert apart(net(**inputs)[0], net(**inputs)[0]) == 0
    quiet = build(name, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0).train()
    assert apart(quiet(**inputs)[0], quiet(**inputs)[0]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_gradient_checkpointing_changes_no_gradient(name: str) -> None:
    gradients = []
    for on in (False, True):
        net = build(name).double().train()
        if on:
            net.gradient_checkpointing_enable()
        torch.manual_seed(7)  # the same dropout, which checkpointing must repeat
        loss_of(net, name).backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    assert all(apart(left, right) < 1e-12 for left, right in zip(*gradients, strict=True) if left is not None)


@pytest.mark.parametrize("name", NAMES)
def test_compiles_as_one_graph(name: str) -> None:
    """`fullgraph` makes a graph break an error; the backend does not matter for that."""
    net = build(name).eval()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    inputs, labels = inputs_for(name), labels_for(name)
    output, expected = compiled(**inputs, **labels), net(**inputs, **labels)
    for key in set(expected.keys()) - {"past_key_values"}:
        assert apart(output[key], expected[key]) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_autocast_in_bfloat16(name: str) -> None:
    net = build(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(net, name)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(item.grad).all() for item in net.parameters() if item.grad is not None)
    net.eval()
    with torch.no_grad():
        exact = loss_of(net, name)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = loss_of(net, name)
    assert abs(float(exact) - float(rough)) < 0.05 * max(1.0, abs(float(exact)))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [40, 57])
def test_resize_keeps_rows_and_ties(size: int, tied: bool) -> None:
    net = build("RobertaPreLayerNormForMaskedLM", tie_word_embeddings=tied).eval()
    torch.nn.init.normal_(net.lm_head.bias)
    ids = torch.tensor([[0, 5, 39, 2]])
    before = net(ids).logits
    table = net.get_input_embeddings().weight.detach().clone()
    net.resize_token_embeddings(size)
    kept = min(size, 50)
    assert net.config.vocab_size == size
    assert torch.equal(net.get_input_embeddings().weight[:kept], table[:kept])
    assert (net.lm_head.decoder.weight is net.get_input_embeddings().weight) is tied
    assert net.lm_head.decoder.bias is net.lm_head.bias
    assert net(ids).logits.shape == (1, 4, size)
    assert apart(net(ids).logits[..., :kept], before[..., :kept]) < 1e-6
    if size > 50:
        assert float(net.get_input_embeddings().weight[50:].std(dim=0).min()) > 0
        net(torch.tensor([[0, size - 1, 2]]), labels=torch.tensor([[0, size - 1, 2]])).loss.backward()
    with pytest.raises(ValueError, match="pad's row 1 must stay"):
        net.resize_token_embeddings(1)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", [name for name in NAMES if "Causal" not in name])
def test_padding_free_execution_gives_the_same(name: str, left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build(name).double()
    inputs, labels = inputs_for(name), labels_for(name)
    if left and "MultipleChoice" not in name:
        inputs["input_ids"], inputs["attention_mask"] = batch(left=True)
        labels = {key: torch.where(inputs["attention_mask"].bool(), value, -100) if value.dim() == 2 else value
                  for key, value in labels.items()}  # fmt: skip
    results = []
    for threshold in (10**9, 0):
        net.base_model.min_pads = threshold
        plans = []
        real_plan = packing.plan_packing
        monkeypatch.setattr(
            "prenorm_model.torch.modeling.plan_packing", lambda *a, f=real_plan, p=plans: p.append(f(*a)) or p[-1]
        )
        net.zero_grad()
        output = net.eval()(**inputs, **labels, output_hidden_states=True)
        if labels:
            output.loss.backward()
        gradients = [item.grad for item in net.parameters()]
        results.append((output, gradients, [plan for plan in plans if plan is not None]))
    (dense, dense_grads, no_plans), (packed, packed_grads, plans) = results
    assert not no_plans
    # Spans are scored against pads too, and a first token that is a pad must not be left out where it is pooled.
    pooled = name.endswith(("NormModel", "SequenceClassification"))
    assert bool(plans) == ("QuestionAnswering" not in name and not (left and pooled))
    real = inputs["attention_mask"].bool()
    for key in ("last_hidden_state", "logits", "pooler_output", "start_logits"):
        if key in dense:
            left_value, right_value = dense[key], packed[key]
            per_token = left_value.shape[:2] == real.shape
            assert (
                apart(left_value[real] if per_token else left_value, right_value[real] if per_token else right_value)
                < 1e-10
            )
    flat = real.flatten(0, 1) if real.dim() == 3 else real
    for one, two in zip(dense.hidden_states, packed.hidden_states, strict=True):
        assert apart(one[flat], two[flat]) < 1e-10
    if labels:
        assert apart(dense.loss, packed.loss) < 1e-10
        assert all(apart(a, b) < 1e-10 for a, b in zip(dense_grads, packed_grads, strict=True) if a is not None)


def test_packing_is_chosen_where_it_gains() -> None:
    ragged = torch.arange(256)[None] < torch.linspace(32, 256, 16).long()[:, None]
    plan = packing.plan_packing(ragged.long())
    assert plan is not None
    assert sum(plan.lengths) == int(ragged.sum())
    x = torch.randn(16, 256, 3)
    assert torch.equal(plan.unpack(plan.pack(x)), x * ragged[..., None])
    assert packing.plan_packing(torch.ones(8, 512)) is None
    assert packing.plan_packing(None) is None
    assert packing.plan_packing(ragged[:2, :20].long()) is None


def test_labels_at_pads_are_computed() -> None:
    """A loss that looks at pads must see what transformers would have there, so nothing is left out."""
    net = build("RobertaPreLayerNormForMaskedLM").double().eval()
    ids = torch.full((40, 20), 1)
    ids[:, :8] = 5
    mask = ids.ne(1).long()
    labels = torch.full_like(ids, 7)
    dense = net(ids, mask, output_attentions=True, labels=labels).loss
    assert packing.plan_packing(mask) is not None
    assert apart(net(ids, mask, labels=labels).loss, dense) < 1e-10


def test_wide_values_in_pieces_are_the_same() -> None:
    net = build("RobertaPreLayerNormModel").double().eval()
    ids, mask = batch()
    with torch.no_grad():
        whole = net(ids, mask).last_hidden_state
        net.wide_bytes = 5 * SMALL["intermediate_size"] * 8
        assert apart(net(ids, mask).last_hidden_state, whole) < 1e-12


def test_training_a_loaded_model_leaves_its_file_alone(tmp_path: Any) -> None:
    name = "RobertaPreLayerNormForMaskedLM"
    build(name).save_pretrained(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    net = model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    loss_of(net, name).backward()
    optimizer.step()
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_checkpointing_a_decoder_keeps_no_cache() -> None:
    gradients = []
    for on in (False, True):
        net = (
            build("RobertaPreLayerNormForCausalLM", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
            .double()
            .train()
        )
        if on:
            net.gradient_checkpointing_enable()
        output = net(batch()[0])
        assert (output.past_key_values is None) == on
        output.logits.square().mean().backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    assert all(apart(left, right) < 1e-12 for left, right in zip(*gradients, strict=True) if left is not None)


def test_pads_take_no_position() -> None:
    net = build("RobertaPreLayerNormModel").eval()
    short = torch.tensor([[0, 5, 6, 2]])
    padded = torch.nn.functional.pad(short, (0, 30), value=1)  # longer than the position table, but not its text
    states = net(padded, padded.ne(1).long()).last_hidden_state
    assert apart(states[:, :4], net(short).last_hidden_state) < 1e-5
