"""Training checkpoints as fairseq saves them, of any size: weights, a copy of the table as LM head, and Adam's state."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ENCODER = "encoder.sentence_encoder."


def state_dict(vocab: int, hidden: int, layers: int, *, empty: bool = False) -> dict[str, torch.Tensor]:
    """fairseq's names and shapes; `empty` tensors have no numbers, and take no memory until they are looked at."""
    generator = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.empty(shape) if empty else torch.randn(shape, generator=generator) * 0.1

    state = {
        f"{ENCODER}embed_tokens.weight": tensor(vocab, hidden),
        f"{ENCODER}embed_positions.weight": tensor(66, hidden),
    }

    def linear(name: str, rows: int, columns: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = tensor(rows, columns), tensor(rows)

    def norm(name: str) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = tensor(hidden), tensor(hidden)

    norm(f"{ENCODER}layernorm_embedding")
    for number in range(layers):
        layer = f"{ENCODER}layers.{number}."
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            linear(f"{layer}self_attn.{part}", hidden, hidden)
        norm(f"{layer}self_attn_layer_norm")
        linear(f"{layer}fc1", 4 * hidden, hidden)
        linear(f"{layer}fc2", hidden, 4 * hidden)
        norm(f"{layer}final_layer_norm")
    norm(f"{ENCODER}layer_norm")
    # As from a GPU: tensors that are one there are copied to the CPU one by one.
    table = state[f"{ENCODER}embed_tokens.weight"]
    state["encoder.lm_head.weight"] = tensor(vocab, hidden) if empty else table.clone()
    state["encoder.lm_head.bias"] = tensor(vocab)
    linear("encoder.lm_head.dense", hidden, hidden)
    norm("encoder.lm_head.layer_norm")
    return state


def save_training(
    path: Path,
    vocab: int = 1000,
    hidden: int = 32,
    layers: int = 2,
    *,
    empty: bool = False,
    adam: bool = True,
    edit: Callable[[dict[str, torch.Tensor]], object] | None = None,
    **options: Any,
) -> None:
    """Saves one, after `edit` changed the weights; with `empty` the file is as large as it would be, and all hole."""
    state = state_dict(vocab, hidden, layers, empty=empty)
    if edit is not None:
        edit(state)
    model = argparse.Namespace(
        arch="roberta_large", encoder_layers=layers, encoder_embed_dim=hidden, encoder_ffn_embed_dim=4 * hidden,
        encoder_attention_heads=2, encoder_normalize_before=True, activation_fn="gelu", dropout=0.1,
        attention_dropout=0.1, max_positions=64, task="masked_lm", criterion="masked_lm",
    )  # fmt: skip
    content: dict[str, Any] = {"args": model, "model": state, "extra_state": {"train_iterator": {"epoch": 1}}}
    if adam:
        trained = [tensor for name, tensor in state.items() if name != "encoder.lm_head.weight"]
        moments = {
            number: {"step": 9, "exp_avg": torch.empty_like(tensor), "exp_avg_sq": torch.empty_like(tensor)}
            for number, tensor in enumerate(trained)
        }
        if not empty:
            for entry in moments.values():
                entry["exp_avg"].zero_()
                entry["exp_avg_sq"].fill_(1)
        content["last_optimizer_state"] = {"state": moments, "param_groups": [{"lr": 1e-4, "params": list(moments)}]}
    if empty:
        with torch.serialization.skip_data():
            torch.save(content, path, **options)
    else:
        torch.save(content, path, **options)
