"""A model made from a config: its parts, its dtype, and the names under which weights are saved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.linear import build_inside
from prenorm_model.loading import check_config
from prenorm_model.naming import BASE_PREFIX

# What Keras calls the variables of its layers, and PyTorch's state dict the parameters. A kernel is a transposed weight.
_LEAVES = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias", "bias": "bias"}


class NamedWeight(NamedTuple):
    """A variable, as the folder has it.

    Attributes:
        variable: the variable.
        is_transposed: whether the folder has its transpose.
    """

    variable: keras.Variable
    is_transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the folder."""
        shape = tuple(self.variable.shape)
        return shape[::-1] if self.is_transposed else shape


class ConfiguredModel(keras.Model):
    """A model made from a config. Subclasses make their parts within `parts`.

    Attributes:
        config: the configuration.
        base_prefix: the name under which a model with a head holds the headless one; empty for that one itself.
        config_class: the class of its configuration.
        base_model_prefix: the name under which a model with a head holds the headless one.
        main_input_name: the first argument of a call.

    Args:
        config: the configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    base_prefix = BASE_PREFIX
    config_class = RobertaPreLayerNormConfig
    base_model_prefix = BASE_PREFIX
    main_input_name = "input_ids"

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        # Casting is left to the parts: labels that are numbers would be rounded with the rest.
        super().__init__(dtype=dtype, name=name, autocast=False)
        check_config(config)
        self.config = config

    @contextmanager
    def parts(self) -> Iterator[None]:
        """Make what is made inside of the model's dtype policy, and build it at the end.

        Yields:
            Nothing.
        """
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.dtype_policy)
        try:
            yield
            self.build(None)
        finally:
            keras.config.set_dtype_policy(before)

    def build(self, input_shape: Any = None) -> None:
        """Make the variables of the model.

        Args:
            input_shape: not needed; the layers know their sizes.
        """
        build_inside(self)

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """Return the weights that are another one's.

        Args:
            config: says what is tied.

        Returns:
            The name under which each is saved, by its own name, the alias.
        """
        return {}

    def named_weights(self) -> dict[str, NamedWeight]:
        """Return the variables by the name under which they are saved, which is that of PyTorch's state dict.

        Returns:
            Every variable once, in the order of the layers.
        """
        named = {}
        for variable in self.weights:
            *layers, leaf = variable.path.removeprefix(f"{self.path}/").split("/")
            if leaf in _LEAVES:  # a dropout has a variable too, of its random numbers
                name = re.sub(r"(^|\.)layer_(\d+)\.", r"\1layer.\2.", ".".join([*layers, _LEAVES[leaf]]))
                named[name] = NamedWeight(variable, leaf == "kernel")
        return named

    def get_config(self) -> dict[str, Any]:
        """Return what the model is made of, as a `.keras` file states it.

        Returns:
            The constructor's arguments; the configuration as config.json states it.
        """
        policy = keras.dtype_policies.serialize(self.dtype_policy)
        return {"config": self.config.to_diff_dict(), "dtype": policy, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Return a new model of what `get_config` says.

        Args:
            config: what it returned.
            custom_objects: not needed.

        Returns:
            The model.
        """
        values = {**config, "config": RobertaPreLayerNormConfig.from_dict(config["config"])}
        if isinstance(values.get("dtype"), dict):
            values["dtype"] = keras.dtype_policies.deserialize(values["dtype"])
        return cls(**values)
