"""Runs under transformers 4.57: converts our models there and back, and answers with how far apart they are."""

import json
import sys
from pathlib import Path
from types import ModuleType

import torch
import transformers

SMALL = {
    "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
    "max_position_embeddings": 40, "layer_norm_eps": 1e-5,
}  # fmt: skip
KINDS = ("Model", "ForMaskedLM", "ForCausalLM", "ForSequenceClassification")
CASES = [(kind, {"model_type": name}) for name in ("roberta-prelayernorm", "xlm-roberta-xl") for kind in KINDS]
CASES += [("ForMaskedLM", {"position_embedding_type": "relative_key_query"})]


def main() -> None:
    """Answers every case, in float32: in float64 its masks overflow."""
    sys.path[:0] = [str(Path(__file__).parents[3] / "model")]
    import prenorm_model

    answer = {
        "version": transformers.__version__,
        "apart": {},
        "same parameters": True,
        "same tokens": True,
        "as by itself": [],
    }
    ids = torch.tensor([[1, 1, 0, 5, 9, 3, 2], [0, 4, 8, 7, 6, 30, 2]])
    mask = ids.ne(1)
    for kind, changes in CASES:
        config = prenorm_model.RobertaPreLayerNormConfig(**SMALL, is_decoder=kind == "ForCausalLM", **changes)
        net_class = getattr(prenorm_model, f"RobertaPreLayerNorm{kind}")
        torch.manual_seed(1)
        ours = net_class(config).eval()
        with torch.no_grad():
            for name, parameter in ours.named_parameters():
                parameter.normal_(std=0.3).add_(1.0 if name.lower().endswith("norm.weight") else 0.0)
        theirs = ours.to_transformers()
        back = net_class.from_transformers(theirs)
        with torch.no_grad():
            outputs = [net(ids, attention_mask=mask.long())[0] for net in (ours, theirs, back)]
        compared = mask if outputs[0].shape[:2] == mask.shape else slice(None)
        distances = [float((other - outputs[0])[compared].abs().max()) for other in outputs[1:]]
        answer["apart"][f"{kind} {changes}"] = max(distances)
        same = {id(item) for item in ours.parameters()} == {id(item) for item in theirs.parameters()}
        answer["same parameters"] = answer["same parameters"] and same
        if kind == "ForCausalLM":
            options = {"attention_mask": mask.long(), "max_new_tokens": 8, "eos_token_id": -1}
            made = [net.generate(ids, **options) for net in (ours, theirs)]
            answer["same tokens"] = answer["same tokens"] and torch.equal(*made)
            plain = type(theirs)(theirs.config).eval()
            plain.load_state_dict(theirs.state_dict())
            answer["as by itself"].append(torch.equal(plain.generate(ids, **options), made[0]))
            answer["own positions"] = torch.equal(
                theirs.generate(ids[1:], position_ids=torch.arange(2, 9)[None], max_new_tokens=1, eos_token_id=-1),
                made[0][1:, :8],
            )
    answer["real sizes"] = real_sizes(prenorm_model)
    json.dump(answer, sys.stdout)


def real_sizes(package: ModuleType) -> dict[str, float]:
    """How far both are apart, with few pads and many, in one piece and in several."""
    config = package.RobertaPreLayerNormConfig(**{**SMALL, "intermediate_size": 6000, "max_position_embeddings": 140})
    torch.manual_seed(1)
    ours = package.RobertaPreLayerNormModel(config).eval()
    theirs = ours.to_transformers()
    calls = []
    ours.encoder.layer[0].intermediate.register_forward_pre_hook(lambda module, inputs: calls.append(inputs[0].dim()))
    answer = {}
    for rows, shortest in ((4, 100), (8, 5), (12, 120), (24, 40)):
        ids = torch.randint(2, 50, (rows, 130))
        ids[torch.arange(130)[None] >= torch.linspace(130, shortest, rows).long()[:, None]] = 1
        mask = ids.ne(1)
        calls.clear()
        with torch.no_grad():
            mine, other = (net(ids, attention_mask=mask.long())[0] for net in (ours, theirs))
        way = f"{'pieces' if len(calls) > 1 else 'whole'} of {int(mask.sum())} in {mask.numel()} tokens"
        answer[way] = float((mine - other)[mask].abs().max())
    return answer


main()
