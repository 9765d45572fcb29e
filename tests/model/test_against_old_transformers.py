"""What later releases dropped, against transformers 4.57: relative positions, and masks by head."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import prenorm_model as model
from helpers.model_pairs import apart, batch, randomize, settings
from helpers.paths import SCRIPTS
from helpers.workers import run_old_transformers

pytestmark = pytest.mark.slow

ENCODER, MASKED, CAUSAL = (f"RobertaPreLayerNorm{part}" for part in ("Model", "ForMaskedLM", "ForCausalLM"))
HEADS = torch.tensor([[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 1.0, 0.25]]).double()
CASES = {
    "absolute": (ENCODER, "absolute", None),
    "relative_key": (ENCODER, "relative_key", None),
    "relative_key_query": (ENCODER, "relative_key_query", None),
    "relative_masked_lm": (MASKED, "relative_key_query", None),
    "relative_decoder": (CAUSAL, "relative_key", None),
    "head_mask": (ENCODER, "absolute", HEADS),
    "one_head_mask": (MASKED, "absolute", HEADS[0]),
    "head_mask_relative": (ENCODER, "relative_key_query", HEADS),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers 4.57 says to all cases; it is started once."""
    folder = tmp_path_factory.mktemp("old")
    described = {}
    for name, (cls, positions, head_mask) in CASES.items():
        net = build(name)
        config = {**settings(cls), "position_embedding_type": positions}
        options = {"use_cache": False} if cls == CAUSAL else {}
        described[name] = {"class": cls, "config": config, "options": options}
        save_file(
            {key: item.contiguous() for key, item in net.saved_parameters().items()}, folder / f"{name}.safetensors"
        )
        save_file(inputs(head_mask), folder / f"{name}.inputs.safetensors")
    (folder / "cases.json").write_text(json.dumps(described))
    assert run_old_transformers(SCRIPTS / "old_transformers_models.py", folder).startswith("4.57")
    return folder


def build(name: str) -> model.RobertaPreLayerNormModel:
    cls, positions, _ = CASES[name]
    torch.manual_seed(3)
    config = model.RobertaPreLayerNormConfig(**settings(cls), position_embedding_type=positions)
    net: model.RobertaPreLayerNormModel = getattr(model, cls)(config).double().eval()
    randomize(net)
    return net


def inputs(head_mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    ids, mask = batch()
    return {"input_ids": ids, "attention_mask": mask, **({} if head_mask is None else {"head_mask": head_mask})}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_transformers_4(name: str, answers: Path) -> None:
    expected = load_file(answers / f"{name}.outputs.safetensors")
    arguments = inputs(CASES[name][2])
    real = arguments["attention_mask"].bool()
    options = {"use_cache": False} if CASES[name][0] == CAUSAL else {}
    with torch.no_grad():
        output = build(name)(**arguments, output_attentions=True, **options)
        fast = build(name)(**arguments, **options)[0]
    assert apart(output[0][real], expected["scores"][real]) < 1e-10
    assert apart(fast[real], expected["scores"][real]) < 1e-10
    for number, weights in enumerate(output.attentions):
        queries = real[:, None, :].expand(-1, 4, -1)
        assert apart(weights[queries], expected[f"attentions.{number}"][queries]) < 1e-10


def test_relative_positions_continue_behind_a_cache() -> None:
    net = build("relative_decoder")
    ids, _ = batch(rows=1)
    full = net(ids, use_cache=False).logits
    cache = None
    for start, end in ((0, 4), (4, 5), (5, 12)):
        step = net(ids[:, start:end], past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        assert apart(step.logits, full[:, start:end]) < 1e-10
