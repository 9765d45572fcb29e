"""Our classes as transformers' tests want them: a maker of configs and inputs, and the classes."""

from __future__ import annotations

import unittest
from typing import Any

import torch

from helpers.peer.adapter import PeerConfig, adapted
from helpers.peer.sources import load


class PeerInputs:
    """Makes configs and inputs; the attributes are what the tests ask for."""

    def __init__(self, parent: unittest.TestCase) -> None:
        self.parent = parent
        self.batch_size, self.seq_length, self.num_choices = 13, 7, 4
        self.num_hidden_layers, self.hidden_size, self.num_attention_heads = 2, 32, 4
        self.is_training = True
        self.causal_lm_class = None

    def get_config(self) -> PeerConfig:
        return PeerConfig(
            vocab_size=99, hidden_size=self.hidden_size, num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads, intermediate_size=37, max_position_embeddings=512,
            type_vocab_size=16, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
        )  # fmt: skip

    def prepare_config_and_inputs_for_common(self) -> tuple[PeerConfig, dict[str, torch.Tensor]]:
        shape = (self.batch_size, self.seq_length)
        ids = torch.randint(2, 99, shape)
        inputs = {
            "input_ids": ids,
            "token_type_ids": torch.randint(0, 16, shape),
            "attention_mask": torch.ones_like(ids),
        }
        inputs["attention_mask"][:, -1] = torch.randint(0, 2, shape[:1])
        return self.get_config(), inputs


def cases() -> list[type[unittest.TestCase]]:
    """Return the test cases; the sources are there afterwards."""
    mixin: Any = load("test_modeling_common").ModelTesterMixin
    tester: Any = load("test_configuration_common").ConfigTester

    def set_up(self: Any) -> None:
        self.model_tester = PeerInputs(self)

    classes = tuple(adapted())
    of_models = type(
        "PeerModelTest",
        (mixin, unittest.TestCase),
        {"all_model_classes": classes, "setUp": set_up, "__module__": __name__},
    )

    def of_config(name: str) -> Any:
        def run(self: unittest.TestCase) -> None:
            getattr(tester(self, config_class=PeerConfig, hidden_size=36), name)()

        return run

    names = [name for name in dir(tester) if name.startswith(("create_and_test_", "check_config_"))]
    methods = {f"test_{name}": of_config(name) for name in names}
    return [of_models, type("PeerConfigTest", (unittest.TestCase,), methods)]
