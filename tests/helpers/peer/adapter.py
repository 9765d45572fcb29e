"""The private names by which transformers' tests ask a model and its config for what ours say otherwise, or do not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, ClassVar

import prenorm_model as model
from helpers.model_pairs import NAMES


class PeerConfig(model.RobertaPreLayerNormConfig):
    """Our config, which the tests go through by name, and give fields of other architectures that ours refuses."""

    sub_configs: ClassVar[dict[str, type]] = {}
    base_model_tp_plan: ClassVar[None] = None

    def __iter__(self) -> Iterator[str]:
        return (item.name for item in fields(self) if item.name != "extra")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.settable_names() or name == "extra":
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)


class PeerProtocol:
    """What is added to each class. Everything else that is tested is ours."""

    _supports_sdpa = True
    _keep_in_fp32_modules = ()
    _keep_in_fp32_modules_strict = ()
    _keys_to_ignore_on_load_missing = None
    _keys_to_ignore_on_load_unexpected = None

    @classmethod
    def _from_config(cls, config: Any, attn_implementation: str | None = None) -> Any:
        if attn_implementation is not None:
            config.attn_implementation = attn_implementation
        return cls(config)  # type: ignore[call-arg]

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return hasattr(cls, "set_attn_implementation")

    @classmethod
    def _can_set_experts_implementation(cls) -> bool:
        return False

    @property
    def vocab_size(self: Any) -> Any:
        return self.config.vocab_size

    def init_weights(self: Any) -> None:
        self.apply(self.initialize)
        self.tie_weights()


def adapted() -> list[type]:
    """Return our classes with the names added, each under its own name, by which the tests tell heads apart."""
    classes = []
    for name in NAMES:
        ours = getattr(model, name)
        tied = ours.tied_names(PeerConfig()) or None
        classes.append(type(name, (ours, PeerProtocol), {"_tied_weights_keys": tied, "__module__": ours.__module__}))
    return classes
