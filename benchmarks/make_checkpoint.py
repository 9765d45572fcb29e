"""Makes a synthetic roberta-large training checkpoint as fairseq saves it: weights and Adam state, about 4.3 GB.

python benchmarks/make_checkpoint.py PATH [--layers 24]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

VOCAB, HIDDEN, FFN, POSITIONS, HEADS = 50265, 1024, 4096, 514, 16
ENCODER = "encoder.sentence_encoder."


def state_dict(layers: int) -> dict[str, torch.Tensor]:
    """fairseq's names and shapes, with random weights of a trained model's size."""
    generator = torch.Generator().manual_seed(0)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator).mul_(0.02)

    def vector(size: int, around: float = 0.0) -> torch.Tensor:
        return torch.randn(size, generator=generator).mul_(0.02).add_(around)

    state = {
        f"{ENCODER}version": torch.tensor([3.0]),
        f"{ENCODER}embed_tokens.weight": matrix(VOCAB, HIDDEN),
        f"{ENCODER}embed_positions.weight": matrix(POSITIONS, HIDDEN),
    }

    def norm(name: str) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = vector(HIDDEN, 1.0), vector(HIDDEN)

    def linear(name: str, rows: int, columns: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = matrix(rows, columns), vector(rows)

    norm(f"{ENCODER}layernorm_embedding")
    for n in range(layers):
        layer = f"{ENCODER}layers.{n}."
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            linear(f"{layer}self_attn.{part}", HIDDEN, HIDDEN)
        norm(f"{layer}self_attn_layer_norm")
        linear(f"{layer}fc1", FFN, HIDDEN)
        linear(f"{layer}fc2", HIDDEN, FFN)
        norm(f"{layer}final_layer_norm")
    norm(f"{ENCODER}layer_norm")
    state["encoder.lm_head.weight"] = state[f"{ENCODER}embed_tokens.weight"]
    state["encoder.lm_head.bias"] = vector(VOCAB)
    linear("encoder.lm_head.dense", HIDDEN, HIDDEN)
    norm("encoder.lm_head.layer_norm")
    return state


def main() -> None:
    """Writes the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--layers", type=int, default=24)
    arguments = parser.parse_args()
    state = state_dict(arguments.layers)
    trained = [tensor for key, tensor in state.items() if not key.endswith(("version", "lm_head.weight"))]
    adam = {
        i: {"step": 1000, "exp_avg": torch.zeros_like(t), "exp_avg_sq": torch.ones_like(t)}
        for i, t in enumerate(trained)
    }
    model = argparse.Namespace(
        _name="roberta_large", arch="roberta_large", encoder_layers=arguments.layers, encoder_embed_dim=HIDDEN,
        encoder_ffn_embed_dim=FFN, encoder_attention_heads=HEADS, encoder_normalize_before=True, activation_fn="gelu",
        dropout=0.1, attention_dropout=0.1, max_positions=POSITIONS - 2,
    )  # fmt: skip
    torch.save(
        {
            "args": None,
            "cfg": {"model": model, "task": {"_name": "masked_lm", "mask_prob": 0.4}},
            "model": state,
            "optimizer_history": [{"num_updates": 1000}],
            "extra_state": {"train_iterator": {"epoch": 1}},
            "last_optimizer_state": {"state": adam, "param_groups": [{"lr": 1e-4, "params": list(adam)}]},
        },
        arguments.path,
    )
    parameters = sum(tensor.numel() for tensor in trained)
    print(f"{arguments.path}: {parameters / 1e6:.0f}M parameters, {arguments.path.stat().st_size / 1e9:.2f} GB")


main()
