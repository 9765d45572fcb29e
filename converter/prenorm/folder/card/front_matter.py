"""The card's front matter: what the Hub reads."""

from __future__ import annotations

from prenorm.folder.card.options import UserText
from prenorm.folder.card.yaml_text import dump
from prenorm.mapping.plan import ConversionPlan
from prenorm.options import TaskKind

# The Hub's names of the tasks.
_PIPELINE_TAGS = {
    TaskKind.MASKED_LM: "fill-mask",
    TaskKind.SEQUENCE_CLASSIFICATION: "text-classification",
    TaskKind.MULTIPLE_CHOICE: "multiple-choice",
    TaskKind.ENCODER: "feature-extraction",
}
_FIRST = ("license", "license_name", "license_link", "language", "base_model")


def front_matter(plan: ConversionPlan, user_text: UserText) -> str:
    """Write the YAML between the dashes. What the user says goes before what prenorm would say; tags are all kept.

    Args:
        plan: what was converted, and into what.
        user_text: the user's keys.

    Returns:
        YAML that ends in a newline.
    """
    ours: dict[str, object] = {
        "library_name": "transformers",
        "pipeline_tag": _PIPELINE_TAGS[plan.task.kind],
        "tags": [plan.model_type, "fairseq", "prenorm"],
    }
    theirs = dict(user_text.front_matter)
    stated = theirs.pop("tags", [])
    tags = [*(stated if isinstance(stated, list) else [stated]), *ours.pop("tags")]  # type: ignore[misc]
    first = {key: theirs.pop(key) for key in _FIRST if key in theirs}
    known = {key: theirs.pop(key, value) for key, value in ours.items()}
    return dump({**first, **known, "tags": list(dict.fromkeys(tags)), **theirs})
