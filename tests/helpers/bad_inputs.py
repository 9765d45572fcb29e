"""Bad input to the models of every framework, and what the error says."""

from __future__ import annotations

from typing import Any

import torch

import prenorm_model as model

IDS = torch.tensor([[0, 5, 6, 2], [0, 7, 2, 1]])
ENCODER, MASKED, CAUSAL, SEQUENCE, CHOICE, TOKEN, SPAN = (
    f"RobertaPreLayerNorm{part}"
    for part in (
        "Model", "ForMaskedLM", "ForCausalLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification",
        "ForQuestionAnswering",
    )
)  # fmt: skip
STATES = torch.zeros(2, 3, 24)
PAST = ((torch.zeros(2, 4, 3, 6),) * 2,) * 2
ZEROS = torch.zeros(2, dtype=torch.long)
CASES: list[tuple[str, dict[str, Any], str]] = [
    (ENCODER, {"input_ids": IDS + 46}, "input_ids holds 53; its values go from 0 to 49"),
    (ENCODER, {"input_ids": -IDS}, "input_ids holds -7"),
    (ENCODER, {"input_ids": IDS.float()}, "input_ids has type torch.float32"),
    (ENCODER, {"input_ids": IDS[0]}, "input_ids has shape [4]; it must be [batch, length]"),
    (
        ENCODER,
        {"input_ids": torch.full((1, 23), 5)},
        "input_ids holds 23 tokens; the position table of 24 rows takes 22",
    ),
    (ENCODER, {"input_ids": IDS, "inputs_embeds": torch.zeros(2, 4, 24)}, "both are"),
    (ENCODER, {}, "neither is"),
    (
        ENCODER,
        {"inputs_embeds": torch.zeros(2, 4, 7)},
        "inputs_embeds has shape [2, 4, 7]; it must be [batch, length, 24]",
    ),
    (
        ENCODER,
        {"input_ids": IDS, "attention_mask": torch.ones(2, 5)},
        "attention_mask has shape [2, 5]; it must be [2, 4]",
    ),
    (ENCODER, {"input_ids": IDS, "attention_mask": torch.ones(4)}, "attention_mask has shape [4]"),
    (ENCODER, {"input_ids": IDS, "token_type_ids": IDS}, "token_type_ids holds 7; its values go from 0 to 1"),
    (ENCODER, {"input_ids": IDS, "token_type_ids": IDS[:, :2]}, "token_type_ids has shape [2, 2]"),
    (ENCODER, {"input_ids": IDS, "position_ids": IDS + 20}, "position_ids holds 27; its values go from 0 to 23"),
    (ENCODER, {"input_ids": IDS, "head_mask": torch.ones(3)}, "head_mask has shape [3]; it must be [4] or [2, 4]"),
    (ENCODER, {"input_ids": IDS, "past_key_values": model.KeyValueCache()}, "past_key_values was given to an encoder"),
    (ENCODER, {"input_ids": IDS, "use_cache": True}, "use_cache was given to an encoder"),
    (ENCODER, {"input_ids": IDS, "encoder_hidden_states": STATES}, "add_cross_attention=False"),
    (ENCODER, {"input_ids": IDS, "encoder_attention_mask": torch.ones(2, 3)}, "without encoder_hidden_states"),
    (CAUSAL, {"input_ids": IDS, "past_key_values": ((STATES, STATES),)}, "past_key_values[0] must be keys and values"),
    (CAUSAL, {"input_ids": IDS, "past_key_values": {}}, "past_key_values is a dict; pass what an earlier forward"),
    (
        CAUSAL,
        {"input_ids": IDS, "past_key_values": PAST[:1]},
        "1 layers of [2, 4, 3, 6]; it must have 2 of [2, 4, 3, 6]",
    ),
    (
        CAUSAL,
        {"input_ids": IDS[:1], "past_key_values": PAST},
        "2 layers of [2, 4, 3, 6]; it must have 2 of [1, 4, 3, 6]",
    ),
    (
        CAUSAL,
        {"input_ids": IDS, "past_key_values": PAST, "cache_position": torch.arange(4)},
        "from 0 to 3; with this cache and these inputs it must be 3 to 6",
    ),
    (
        ENCODER,
        {"input_ids": IDS, "attention_mask": torch.ones(2, 3, 4, 4)},
        "attention_mask has shape [2, 3, 4, 4]; it must be [2, 4], [2, 4, 4] or [2, 1 or 4, 4, 4]",
    ),
    (CAUSAL, {"input_ids": IDS, "encoder_hidden_states": STATES}, "add_cross_attention=False"),
    (CAUSAL, {"input_ids": IDS, "labels": IDS[:, :3]}, "labels has shape [2, 3]; it must be [2, 4]"),
    (MASKED, {"input_ids": IDS, "labels": IDS + 46}, "labels holds 53; its values go from 0 to 49 (or -100"),
    (MASKED, {"input_ids": IDS, "labels": IDS.float()}, "labels has type torch.float32"),
    (MASKED, {"input_ids": IDS, "labels": IDS[:1]}, "labels has shape [1, 4]; it must be [2, 4]"),
    (SEQUENCE, {"input_ids": IDS, "labels": torch.tensor([0, 3])}, "labels holds 3; its values go from 0 to 2"),
    (SEQUENCE, {"input_ids": IDS, "labels": torch.tensor([0, 1, 2])}, "labels has shape [3]; it must be [2]"),
    (SEQUENCE, {"input_ids": IDS, "labels": torch.zeros(2, 2)}, "labels has shape [2, 2]; it must be [2, 3]"),
    (TOKEN, {"input_ids": IDS, "labels": IDS}, "labels holds 7; its values go from 0 to 2"),
    (CHOICE, {"input_ids": IDS}, "input_ids has shape [2, 4]; it must be [batch, choices, length]"),
    (CHOICE, {"input_ids": IDS[None], "labels": torch.tensor([2])}, "labels holds 2; its values go from 0 to 1"),
    (SPAN, {"input_ids": IDS, "start_positions": torch.zeros(2), "end_positions": ZEROS}, "start_positions is"),
    (SPAN, {"input_ids": IDS, "start_positions": ZEROS, "end_positions": IDS[0]}, "end_positions is"),
]
