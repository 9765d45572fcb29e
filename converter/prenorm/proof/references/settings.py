"""What the built-in reference must know of a checkpoint besides its tensors."""

from __future__ import annotations

from prenorm.proof.references.builtin import ReferenceSettings
from prenorm.source.description import SourceDescription


def settings_of(description: SourceDescription) -> ReferenceSettings:
    """Return a described model's settings in fairseq's terms.

    Args:
        description: the source model.

    Returns:
        The settings of `BuiltinReference`.
    """
    return ReferenceSettings(
        attention_heads=description.attention_heads,
        activation=description.activation,
        head_activation=description.head_activation,
        pad=description.pad_id,
        positions=description.positions.kind,
        position_rows=description.positions.rows,
        scaled=description.scaled_embedding,
        layers=description.layers_kept,
    )
