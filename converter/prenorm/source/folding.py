"""Folding: what fairseq computes from several tensors, or from none, becomes one tensor that a target can hold.

Everything is computed in the checkpoint's own type, as fairseq computes it whenever the model runs.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from prenorm.checkpoint.dtypes import torch_dtype
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.rules.derived import ComputedTensor
from prenorm.rules.rows import Moved, Operation, OperationKind, constant
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import HEADS, Canonical
from prenorm.source.positions import PositionKind, sinusoids
from prenorm.source.sizes import LM_MATRIX, POSITIONS, TABLE

if TYPE_CHECKING:
    import torch


def fold(canonical: Canonical, description: SourceDescription) -> Canonical:
    """Fold what fairseq computes whenever the model runs into the tensors.

    Args:
        canonical: the source tensors under canonical names.
        description: the model.

    Returns:
        The tensors that a target can hold.
    """
    tensors = dict(canonical.tensors)
    if description.scaled_embedding:
        _scale_embedding(tensors, description)
    if description.positions.kind is not PositionKind.LEARNED:
        tensors[POSITIONS] = _position_table(description)
    for head in description.heads:
        if head.spectral_norm:
            _divide_by_spectral_norm(tensors, f"{HEADS}{head.name}.out_proj.weight")
    return replace(canonical, tensors=tensors)


def _scale_embedding(tensors: dict[str, Moved], description: SourceDescription) -> None:
    """Multiply the embedding by the square root of the width; the LM head keeps the matrix as it is, so they part."""
    plain = tensors[TABLE]
    factor = math.sqrt(description.hidden_size)

    def compute() -> torch.Tensor:
        return plain.tensor.read() * factor

    if description.lm_head and LM_MATRIX not in tensors:
        tensors[LM_MATRIX] = replace(plain, reason="the LM head's matrix is the embedding before it is scaled")
    tensors[TABLE] = replace(
        plain,
        tensor=ComputedTensor(plain.tensor.dtype, plain.tensor.shape, compute, (plain.tensor,)),
        operation=Operation(OperationKind.COMPUTED, f"times sqrt({description.hidden_size})"),
        reason="no_scale_embedding=False: fairseq scales word embeddings, the target does not",
    )


def _position_table(description: SourceDescription) -> Moved:
    """Make a table for a model that has none in its file."""
    table, width = description.positions, description.hidden_size

    def compute() -> torch.Tensor:
        import torch

        wanted = torch_dtype(description.dtype)
        if table.kind is PositionKind.NONE:
            return torch.zeros(table.rows, width, dtype=wanted)
        return sinusoids(table, width, description.pad_id).to(wanted)

    tensor = ComputedTensor(description.dtype, (table.rows, width), compute)
    if table.kind is PositionKind.NONE:
        return Moved(
            tensor, None, constant(0.0), "no_token_positional_embeddings: the model adds nothing for a position"
        )
    return Moved(
        tensor,
        None,
        Operation(OperationKind.COMPUTED, "sinusoids"),
        "encoder_learned_pos=False: fairseq computes this table",
    )


def _divide_by_spectral_norm(tensors: dict[str, Moved], key: str) -> None:
    """Divide a weight by its spectral norm: weight_orig / sigma, sigma = u W v.

    As torch's spectral_norm computes it in evaluation mode (arXiv:1802.05957).
    """
    parts = [tensors.pop(f"{key}_{part}", None) for part in ("orig", "u", "v")]
    weight, left, right = parts
    if weight is None or left is None or right is None:
        return  # the target's rules say which is missing
    known: tuple[SourceTensor, ...] = (weight.tensor, left.tensor, right.tensor)

    def compute() -> torch.Tensor:
        matrix, u, v = (tensor.read() for tensor in known)
        wide = matrix.double()
        sigma = u.double() @ (wide @ v.double())
        return (wide / sigma).to(matrix.dtype)

    tensors[key] = replace(
        weight,
        tensor=ComputedTensor(weight.tensor.dtype, weight.tensor.shape, compute, known),
        operation=Operation(OperationKind.COMPUTED, "divided by its spectral norm"),
        reason="spectral norm: fairseq divides by sigma = u W v whenever the head runs",
        also_from=(*left.sources, *right.sources),
    )
