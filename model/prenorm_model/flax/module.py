"""A model made from a config: the structure of its NNX module, and its parameters, which are kept apart from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax import Array
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.linear import Making
from prenorm_model.flax.params import Path, Tree, flatten, fresh_leaf, unflatten, weight_name, weight_shape
from prenorm_model.loading import check_config
from prenorm_model.naming import BASE_PREFIX


class FlaxConfiguredModel:
    """A model made from a config.

    Attributes:
        config: the configuration.
        dtype: the type that is computed in, whatever that of the parameters is.
        base_prefix: the name under which a model with a head holds the headless one; empty for that one itself.
        config_class: the class of its configuration.
        base_model_prefix: the name under which a model with a head holds the headless one.
        main_input_name: the first argument of a call.
        gradient_checkpointing: whether a gradient computes each layer anew, instead of keeping what is in between.
        params_shape_tree: the shapes of the parameters.

    Args:
        config: the configuration.
        input_shape: taken, as transformers does, and not needed: no shape of a parameter depends on it.
        seed: of the fresh weights.
        dtype: the type to compute in.
        _do_init: whether to draw weights; without, `params` are to be passed with every call, and `init_weights` draws them.
        gradient_checkpointing: whether a gradient computes each layer anew, instead of keeping what is in between.

    Raises:
        TypeError: if the config is none of this model's.
        ValueError: naming every field of the config that cannot work, or if the dtype is none that is computed in.
    """

    base_prefix = BASE_PREFIX
    config_class = RobertaPreLayerNormConfig
    base_model_prefix = BASE_PREFIX
    main_input_name = "input_ids"

    def __init__(
        self,
        config: RobertaPreLayerNormConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: Any = jnp.float32,
        _do_init: bool = True,
        gradient_checkpointing: bool = False,
    ) -> None:
        check_config(config)
        self.config = config
        self.dtype = floating_type(dtype)
        self._params: Tree | None = None
        self._set_structure(gradient_checkpointing)
        if _do_init:
            self._params = self.init_weights(jax.random.key(seed), input_shape)

    def make_module(self, making: Making, *, gradient_checkpointing: bool) -> nnx.Module:
        """Return the NNX module.

        Args:
            making: how parameters are made.
            gradient_checkpointing: whether a gradient computes each layer anew.

        Returns:
            The module.

        Raises:
            NotImplementedError: of a class that states none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no module")

    def _set_structure(self, gradient_checkpointing: bool) -> None:
        """Make the module as shapes alone, and take it apart."""
        self.gradient_checkpointing = gradient_checkpointing
        abstract = nnx.eval_shape(
            lambda: self.make_module(Making(self.dtype, nnx.Rngs(0)), gradient_checkpointing=gradient_checkpointing)
        )
        self._structure, state = nnx.split(abstract)
        # Where each leaf goes in the module: as in the tree, but that layers have numbers.
        self._places = {tuple(map(str, place)): place for place, _ in nnx.to_flat_state(state)}
        self.params_shape_tree = unflatten(
            {
                tuple(map(str, place)): jax.ShapeDtypeStruct(leaf.get_value().shape, leaf.get_value().dtype)
                for place, leaf in nnx.to_flat_state(state)
            }
        )

    def bind(self, params: Mapping[str, Any]) -> Any:
        """Return the NNX module with these parameters.

        Args:
            params: the tree.

        Returns:
            The module.

        Raises:
            ValueError: naming what the tree lacks, or has too much.
        """
        leaves = flatten(params)
        if leaves.keys() != self._places.keys():
            self._refuse(leaves)
        return nnx.merge(
            self._structure,
            nnx.from_flat_state([(self._places[path], nnx.Param(leaf)) for path, leaf in leaves.items()]),
        )

    def _refuse(self, leaves: Mapping[Path, Any]) -> None:
        """Raise an error that names all parameters that are missing or too much."""
        lines = sorted(
            [f"missing: {'/'.join(path)}" for path in self._places.keys() - leaves.keys()]
            + [f"unexpected: {'/'.join(path)}" for path in leaves.keys() - self._places.keys()]
        )
        raise ValueError(f"params do not fit {type(self).__name__}:\n  " + "\n  ".join(lines))

    @property
    def params(self) -> Tree:
        """The parameters: a nested dictionary by attributes, whose leaves are `kernel`, `embedding`, `scale` and `bias`.

        Raises:
            ValueError: of a model that was made without.
        """
        if self._params is None:
            raise ValueError(
                "the model was made with _do_init=False and keeps no params: pass params=... with every call, which "
                "init_weights draws, or from_pretrained returned"
            )
        return self._params

    @params.setter
    def params(self, params: Mapping[str, Any]) -> None:
        """Replace the parameters.

        Args:
            params: the tree.

        Raises:
            ValueError: naming what does not fit.
        """
        leaves = flatten(params)
        if leaves.keys() != self._places.keys():
            self._refuse(leaves)
        expected = flatten(self.params_shape_tree)
        wrong = [
            f"mismatched: {'/'.join(path)} is {list(leaf.shape)}, in the model {list(expected[path].shape)}"
            for path, leaf in leaves.items()
            if tuple(leaf.shape) != tuple(expected[path].shape)
        ]
        if wrong:
            raise ValueError(f"params do not fit {type(self).__name__}:\n  " + "\n  ".join(wrong))
        self._params = unflatten(leaves)

    @property
    def required_params(self) -> set[Path]:
        """The paths of all parameters."""
        return set(self._places)

    def init_weights(
        self, rng: Array, input_shape: tuple[int, ...] = (1, 1), params: Mapping[str, Any] | None = None
    ) -> Tree:
        """Draw weights: normal with `initializer_range`; biases and pads zero, norms one.

        Args:
            rng: where to draw from.
            input_shape: taken, as transformers does, and not needed.
            params: a tree of parameters that are there already, which stay.

        Returns:
            The tree of all parameters.
        """
        kept = {} if params is None else flatten(params)
        shapes = flatten(self.params_shape_tree)
        keys = dict(zip(shapes, jax.random.split(rng, len(shapes)), strict=True))
        spread, pad = self.config.initializer_range, self.config.pad_token_id
        return unflatten(
            {
                path: kept[path] if path in kept else fresh_leaf(path, shape, keys[path], spread, pad)
                for path, shape in shapes.items()
            }
        )

    def enable_gradient_checkpointing(self) -> None:
        """From now on, compute each layer anew in a gradient, instead of keeping what is in between."""
        self._set_structure(True)

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that the weights have in a folder, by their names in a state dict."""
        leaves = flatten(self.params_shape_tree)
        return {weight_name(path): weight_shape(path, tuple(leaf.shape)) for path, leaf in leaves.items()}


def floating_type(dtype: Any) -> Any:
    """Return the floating-point type that is meant.

    Args:
        dtype: a type of JAX or numpy, or its name.

    Returns:
        The type, as numpy's.

    Raises:
        ValueError: if it is no floating-point type, or one that JAX does not compute in as it is set.
    """
    try:
        value = jnp.dtype(dtype)
    except TypeError as error:
        raise ValueError(f"dtype is {dtype!r}, not a floating-point type of JAX or its name") from error
    if not jnp.issubdtype(value, jnp.floating):
        raise ValueError(f"dtype is {dtype!r}, not a floating-point type of JAX or its name")
    if jax.dtypes.canonicalize_dtype(value) != value:
        raise ValueError("dtype is float64, in which JAX computes after jax.config.update('jax_enable_x64', True) only")
    return value
