"""What the masked-LM targets share: the head's rules, the sizes, and what the head cannot be."""

from __future__ import annotations

from converter.errors import NotRepresentable
from converter.mapping import Drop, Rename
from converter.source.description import SourceDescription

# The rows of the vocabulary, which grow when the tokenizer needs tokens that the dictionary lacks.
VOCABULARY_BIASES = ("lm_head.bias", "lm_head.decoder.bias")

_BODY: tuple[Rename, ...] = (
    Rename("encoder.lm_head.dense.{p}", ("lm_head.dense.{p}",), ("hidden", "hidden")),
    Rename("encoder.lm_head.layer_norm.{p}", ("lm_head.layer_norm.{p}",), ("hidden",)),
)
_TIED: tuple[Rename | Drop, ...] = (
    Drop("encoder.lm_head.weight", "tied: the same bytes as the word embeddings, which the target shares"),
    Rename("encoder.lm_head.bias", ("lm_head.bias",), ("vocab",)),
)
# transformers 5 wants all three of an untied head: the matrix, and the bias under both of its names.
_UNTIED: tuple[Rename | Drop, ...] = (
    Rename("encoder.lm_head.weight", ("lm_head.decoder.weight",), ("vocab", "hidden")),
    Rename("encoder.lm_head.bias", ("lm_head.bias", "lm_head.decoder.bias"), ("vocab",)),
)
_OTHER_HEADS = (Drop("classification_heads.{head}.{rest}", "head of another task; this folder is the masked LM"),)


def lm_head_rules(*, tied: bool) -> tuple[Rename | Drop, ...]:
    """The rule table of the LM head, and of the other tasks' heads that a masked LM leaves out."""
    return (*_BODY, *(_TIED if tied else _UNTIED), *_OTHER_HEADS)


def check_activation(description: SourceDescription) -> None:
    """Refuses an LM head that transformers computes with another activation.

    Raises:
        NotRepresentable: naming the argument that rules it out.
    """
    if description.head_activation != "gelu":
        raise NotRepresentable(
            f"the model was trained with activation_fn={description.head_activation}, and transformers' masked-LM head "
            "always uses gelu",
            advice="As a masked LM its logits would be wrong",
        )


def sizes(description: SourceDescription) -> dict[str, int]:
    """What the size names in the rule tables mean for this model."""
    return {
        "vocab": description.vocab_size,
        "hidden": description.hidden_size,
        "ffn": description.ffn_size,
        "positions": description.positions,
        "token_types": 1,
    }
