"""The Hugging Face architectures that a checkpoint can become: one `Target` in one file each, and their registry."""

from __future__ import annotations

from prenorm.errors import NotRepresentable
from prenorm.mapping.targets.roberta_prelayernorm import ROBERTA_PRELAYERNORM
from prenorm.mapping.targets.target import Target
from prenorm.mapping.targets.xlm_roberta_xl import XLM_ROBERTA_XL
from prenorm.source.description import SourceDescription

__all__ = ["TARGETS", "Target", "target_for", "target_of_type"]

TARGETS: tuple[Target, ...] = (
    ROBERTA_PRELAYERNORM,
    XLM_ROBERTA_XL,
)


def target_for(description: SourceDescription) -> Target:
    """Return the architecture that computes exactly what the model computes.

    Args:
        description: the source model.

    Returns:
        The first target of the registry that fits.

    Raises:
        NotRepresentable: if none does.
    """
    for target in TARGETS:
        if target.fits(description):
            return target
    raise NotRepresentable(
        "no Hugging Face architecture computes what this model computes",
        problems=[target.model_type for target in TARGETS],
        advice="None of these fits:",
    )


def target_of_type(model_type: object) -> Target | None:
    """Return the target with that `model_type`.

    Args:
        model_type: what a config.json says, whatever it is.

    Returns:
        The target, or None if prenorm has none of that type.
    """
    return next((target for target in TARGETS if target.model_type == model_type), None)
