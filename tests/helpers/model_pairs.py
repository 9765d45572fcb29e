"""Our models beside transformers', with the same random weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers
from torch import nn

import prenorm_model as model

SMALL: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
    "max_position_embeddings": 24, "type_vocab_size": 2, "layer_norm_eps": 1e-5,
}  # fmt: skip
NAMES = (
    "RobertaPreLayerNormModel",
    "RobertaPreLayerNormForCausalLM",
    "RobertaPreLayerNormForMaskedLM",
    "RobertaPreLayerNormForSequenceClassification",
    "RobertaPreLayerNormForMultipleChoice",
    "RobertaPreLayerNormForTokenClassification",
    "RobertaPreLayerNormForQuestionAnswering",
)


def settings(name: str) -> dict[str, Any]:
    """The config of a class's test: a decoder for the causal LM, three labels where there are labels."""
    if name == "RobertaPreLayerNormForCausalLM":
        return {**SMALL, "is_decoder": True}
    return {**SMALL, "num_labels": 2 if "QuestionAnswering" in name else 3}


def pair(name: str, dtype: torch.dtype = torch.float64, **changes: Any) -> tuple[Any, Any]:
    """Ours and transformers' model of that class, with the same weights, in evaluation mode."""
    values = {**settings(name), **changes}
    torch.manual_seed(1)
    ours = getattr(model, name)(model.RobertaPreLayerNormConfig(**values)).to(dtype).eval()
    theirs = getattr(transformers, name)(transformers.RobertaPreLayerNormConfig(**values)).to(dtype).eval()
    randomize(ours)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def randomize(module: nn.Module) -> None:
    """Weights large enough for every part to matter; norms stay near one."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.normal_(std=0.3)
            if name.endswith(("LayerNorm.weight", "layer_norm.weight")):
                parameter.add_(1.0)


def batch(rows: int = 3, length: int = 12, *, left: bool = False, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids with padding, and their mask: [rows, length] each."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, SMALL["vocab_size"], (rows, length), generator=generator)
    for row in range(1, rows):
        cut = (length * row) // (rows + 2)
        if left:
            ids[row, :cut] = 1
        else:
            ids[row, length - cut :] = 1
    return ids, ids.ne(1).long()


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).detach().abs().max())


def aligned(net: Any) -> Any:
    """Return a copy whose weights begin at multiples of 64 bytes in memory, as torch allocates them.

    Loaded weights are mapped, and begin wherever the file has them. A product with a single row, as a map onto one output
    is, goes through BLAS' gemv, and MKL sums it in an order that depends on where the row begins (see Intel's
    "conditional numerical reproducibility"): equal bits of weights, outputs that differ by rounding, and that only where
    one thread computes. Between copies that begin alike, outputs must be equal bit for bit.
    """
    return copy.deepcopy(net)


def inputs_for(name: str) -> dict[str, torch.Tensor]:
    ids, mask = batch()
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, ids.shape, generator=generator),
    }
    if "MultipleChoice" in name:
        inputs = {key: torch.stack([value, value.flip(0)], dim=1) for key, value in inputs.items()}
    return inputs


def labels_for(name: str) -> dict[str, torch.Tensor]:
    if "QuestionAnswering" in name:
        return {"start_positions": torch.tensor([1, 3, 40]), "end_positions": torch.tensor([4, 12, 6])}
    if "MultipleChoice" in name or "Sequence" in name:
        return {"labels": torch.tensor([1, 0, 0])}
    if name == "RobertaPreLayerNormModel":
        return {}
    ids, mask = batch(seed=3)
    classes = 3 if "Token" in name else SMALL["vocab_size"]
    return {"labels": torch.where(mask.bool() & (ids % 2 == 0), ids % classes, -100)}
