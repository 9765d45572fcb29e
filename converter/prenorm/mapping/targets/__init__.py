"""One module per Hugging Face architecture that a checkpoint can become: its rule table and its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from prenorm.mapping.task import Task
from prenorm.options import TaskKind
from prenorm.rules.rules import Constant, Drop, Rename
from prenorm.source.description import SourceDescription


class Target(Protocol):
    """What a target's module has. `PREFIX` is the headless model's name in the models with a head, with its dot."""

    MODEL_TYPE: str
    PREFIX: str
    ARCHITECTURES: Mapping[TaskKind, str]
    VOCABULARY_MATRICES: tuple[str, ...]

    def rules(self, description: SourceDescription, task: Task) -> tuple[Rename | Drop | Constant, ...]:
        """The rule table for a task, with `PREFIX` before the encoder's names."""

    def config(self, description: SourceDescription, task: Task, extra_rows: int) -> dict[str, object]:
        """The content of config.json."""


def target_for(description: SourceDescription) -> Target:
    """The architecture that computes exactly what the model computes; the norm after the embeddings decides."""
    from prenorm.mapping.targets import roberta_prelayernorm, xlm_roberta_xl

    return roberta_prelayernorm if description.embedding_norm else xlm_roberta_xl
