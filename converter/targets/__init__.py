"""One module per Hugging Face architecture that a checkpoint can become: its rule table and its config."""

from __future__ import annotations

from typing import Protocol

from converter.mapping import Constant, Drop, Rename
from converter.source.description import SourceDescription


class Target(Protocol):
    """What a target's module has."""

    MODEL_TYPE: str
    MASKED_LM: str
    VOCABULARY_MATRICES: tuple[str, ...]

    def masked_lm_rules(self, description: SourceDescription) -> tuple[Rename | Drop | Constant, ...]:
        """The rule table of the masked LM."""

    def config(self, description: SourceDescription, extra_rows: int) -> dict[str, object]:
        """The content of config.json."""


def target_for(description: SourceDescription) -> Target:
    """The architecture that computes exactly what the model computes; the norm after the embeddings decides."""
    from converter.targets import roberta_prelayernorm, xlm_roberta_xl

    return roberta_prelayernorm if description.embedding_norm else xlm_roberta_xl
