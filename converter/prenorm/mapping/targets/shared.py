"""What the targets of the RoBERTa family share: all but the norms, whose places tell them apart."""

from __future__ import annotations

from collections.abc import Mapping

from prenorm.rules.rules import Constant, Rename
from prenorm.source.layouts import ENCODER, LAYER

# What transformers takes where config.json is silent, for the fields that decide what is computed.
DEFAULTS: Mapping[str, object] = {
    "attention_probs_dropout_prob": 0.1, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
    "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "tie_word_embeddings": True, "classifier_dropout": None,
    "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False, "problem_type": None,
}  # fmt: skip
# The maps within a layer: fairseq's name, Hugging Face's, and the matrix's shape.
LAYER_MAPS = (
    ("self_attn.q_proj", "attention.self.query", ("hidden", "hidden")),
    ("self_attn.k_proj", "attention.self.key", ("hidden", "hidden")),
    ("self_attn.v_proj", "attention.self.value", ("hidden", "hidden")),
    ("self_attn.out_proj", "attention.output.dense", ("hidden", "hidden")),
    ("fc1", "intermediate.dense", ("ffn", "hidden")),
    ("fc2", "output.dense", ("hidden", "ffn")),
)


def encoder_rules(base: str, norms: Mapping[str, str]) -> tuple[Rename | Constant, ...]:
    """Return the rules of an encoder.

    Args:
        base: the headless model's name in the models with a head, with its dot.
        norms: the names of the norms, within the headless model, by fairseq's canonical names.

    Returns:
        The rules, with `base` before every target's name.
    """
    tables = base + "embeddings."
    return (
        Rename(ENCODER + "embed_tokens.weight", (tables + "word_embeddings.weight",), ("vocab", "hidden")),
        Rename(ENCODER + "embed_positions.weight", (tables + "position_embeddings.weight",), ("positions", "hidden")),
        Constant(
            tables + "token_type_embeddings.weight",
            ("token_types", "hidden"),
            0.0,
            "fairseq has no token types; the one row that transformers adds is zero",
        ),
        *(
            Rename(f"{LAYER}{source}.{{p}}", (f"{base}encoder.layer.{{n}}.{target}.{{p}}",), shape)
            for source, target, shape in LAYER_MAPS
        ),
        *(Rename(source + ".{p}", (f"{base}{target}.{{p}}",), ("hidden",)) for source, target in norms.items()),
    )
