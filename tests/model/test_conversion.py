"""To transformers and back over the same parameters, and what its generation then does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import prenorm_model as model
from helpers.model_pairs import NAMES, apart, batch, inputs_for, pair, randomize, settings
from helpers.paths import SCRIPTS
from helpers.workers import run_old_transformers

CAUSAL, MASKED = NAMES[1], NAMES[2]
TYPES = ("roberta-prelayernorm", "xlm-roberta-xl")


def build(name: str, **changes: Any) -> Any:
    """Our model in evaluation mode, of random weights."""
    torch.manual_seed(1)
    net = getattr(model, name)(model.RobertaPreLayerNormConfig(**{**settings(name), **changes})).double().eval()
    randomize(net)
    return net


def places(net: Any) -> set[int]:
    return {item.data_ptr() for item in net.parameters()}


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_over_the_same_parameters(name: str, model_type: str) -> None:
    changes = {"add_cross_attention": True} if name == CAUSAL else {}
    ours = build(name, model_type=model_type, **changes)
    theirs = ours.to_transformers()
    plain = "XLMRobertaXL" if model_type == TYPES[1] else "RobertaPreLayerNorm"
    assert type(theirs) is getattr(transformers, name.replace("RobertaPreLayerNorm", plain))
    assert places(ours) == places(theirs)
    assert {id(item) for item in ours.parameters()} == {id(item) for item in theirs.parameters()}
    inputs = inputs_for(name)
    options = {"encoder_hidden_states": torch.randn(3, 7, 24).double()} if name == CAUSAL else {}
    compared = inputs["attention_mask"].bool() if name == CAUSAL else slice(None)
    expected = ours(**inputs, **options)[0]
    assert apart(theirs(**inputs, **options)[0][compared], expected[compared]) < 1e-10
    back = getattr(model, name).from_transformers(theirs)
    assert places(back) == places(ours)
    assert apart(back(**inputs, **options)[0], expected) == 0.0
    assert back.config == ours.config or back.config.to_dict().items() >= ours.config.to_dict().items()
    assert not back.training
    assert not theirs.training
    assert ours.train().to_transformers().training
    with torch.no_grad():  # what one is trained to, the others are
        theirs.base_model.encoder.layer[0].output.dense.weight.zero_()
    ours.eval()
    assert apart(back(**inputs, **options)[0], ours(**inputs, **options)[0]) == 0.0
    assert apart(back(**inputs, **options)[0], expected) > 1e-3


@pytest.mark.parametrize("model_type", TYPES)
def test_untied_and_tied_heads(model_type: str) -> None:
    for tied in (True, False):
        ours = build(MASKED, tie_word_embeddings=tied, model_type=model_type)
        theirs = ours.to_transformers()
        assert (theirs.lm_head.decoder.weight is theirs.get_input_embeddings().weight) is tied
        assert theirs.lm_head.decoder.bias is ours.lm_head.bias
        ids, mask = batch()
        assert apart(theirs(ids, attention_mask=mask).logits, ours(ids, mask).logits) < 1e-10
        if not tied:  # of transformers' two biases the decoder's counts
            theirs.lm_head.decoder.bias = torch.nn.Parameter(torch.randn(50).double())
            back = model.RobertaPreLayerNormForMaskedLM.from_transformers(theirs)
            assert apart(theirs(ids, attention_mask=mask).logits, back(ids, mask).logits) < 1e-10
            assert back.lm_head.bias is back.lm_head.decoder.bias  # and so it is saved


def test_a_model_that_transformers_made(tmp_path: Path) -> None:
    """As it comes, with buffers, and saved from either side."""
    _, theirs = pair(MASKED, hidden_act="relu", layer_norm_eps=1e-3)
    ours = model.RobertaPreLayerNormForMaskedLM.from_transformers(theirs)
    ids, mask = batch()
    expected = theirs(ids, attention_mask=mask).logits
    assert apart(ours(ids, mask).logits, expected) < 1e-10
    ours.to_transformers().save_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    for folder in ("theirs", "ours"):
        loaded = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / folder)
        assert apart(loaded(ids, attention_mask=mask).logits, expected) < 1e-10


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize("left", [False, True])
def test_its_generation_goes_on_from_the_positions_of_the_forward(left: bool, model_type: str) -> None:
    """Unlike that of transformers' own model, which begins at position 0."""
    ours = build(CAUSAL, max_position_embeddings=40, model_type=model_type)
    theirs = ours.to_transformers()
    ids = batch(rows=3, left=True)[0] if left else batch(rows=1)[0]
    options = {"max_new_tokens": 8, "eos_token_id": -1}
    greedy = ours.generate(ids, **options)
    assert torch.equal(theirs.generate(ids, **options), greedy)
    again = type(theirs)(theirs.config).double().eval()
    again.load_state_dict(theirs.state_dict())
    assert not torch.equal(again.generate(ids, **options), greedy)
    # beams, which are left to transformers: of the best one the probability is at least that of greedy
    beams = theirs.generate(ids, num_beams=4, length_penalty=0.0, **options)
    scores = [
        ours(made, made.ne(1).long(), use_cache=False)
        .logits[:, ids.shape[1] - 1 : -1]
        .log_softmax(-1)
        .gather(2, made[:, ids.shape[1] :, None])
        .sum(dim=(1, 2))
        for made in (greedy, beams)
    ]
    assert bool((scores[1] >= scores[0] - 1e-5).all())
    mask = ids.ne(1)
    own = (mask.cumsum(1) * mask + 1).long()
    assert torch.equal(theirs.generate(ids, position_ids=own, **options), greedy)


def test_what_transformers_has_no_place_for_is_named() -> None:
    with pytest.raises(ValueError, match="hidden_act is a callable"):
        build(MASKED, hidden_act=torch.sigmoid).to_transformers()
    ours = build(MASKED, position_embedding_type="relative_key")
    with pytest.raises(
        ValueError, match=r"RobertaPreLayerNormForMaskedLM has not the same weights: .*distance_embedding"
    ):
        ours.to_transformers()
    with pytest.raises(ValueError, match=r"is made of transformers' RobertaPreLayerNormModel; this is a .*ForMaskedLM"):
        model.RobertaPreLayerNormModel.from_transformers(pair(MASKED)[1])


def test_without_transformers_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    ours = build(MASKED)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="to_transformers needs transformers, which is not installed"):
        ours.to_transformers()


@pytest.mark.slow
def test_in_transformers_4(tmp_path: Path) -> None:
    """There relative positions have a place, and generation asks for positions another way."""
    answer = run_old_transformers(SCRIPTS / "old_transformers_conversion.py", tmp_path)
    assert answer["version"].startswith("4.57")
    assert max(answer["apart"].values()) < 1e-4, answer
    assert len(answer["apart"]) == 9
    assert answer["same parameters"] is answer["same tokens"] is answer["own positions"] is True
    assert answer["as by itself"] == [False, True]  # its XLMRobertaXL counts positions as its forward does
    assert max(answer["real sizes"].values()) < 1e-4, answer
    assert sorted(way.split()[0] for way in answer["real sizes"]) == ["pieces", "pieces", "whole", "whole"]
