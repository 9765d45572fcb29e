"""From a folder or a Hub repo to parameters: nothing is initialized that is loaded, and nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from prenorm_model.fitting import ExpectedWeights, Shape, expected_weights
from prenorm_model.flax.module import FlaxConfiguredModel
from prenorm_model.flax.msgpack_file import FLAX_FILE, FLAX_INDEX, read
from prenorm_model.flax.params import Path, Tree, flatten, unflatten, weight, weight_name
from prenorm_model.folder import WEIGHTS_FILE, weight_files
from prenorm_model.hub import Location
from prenorm_model.loading import LoadingInfo, fit_strictly, loading_info, warn_of_fresh_weights
from prenorm_model.naming import tied_names, to_module
from prenorm_model.weights import StoredWeights

ModelT = TypeVar("ModelT", bound=FlaxConfiguredModel)


class FlaxStoredWeights(Mapping[str, np.ndarray]):
    """The weights of `flax_model.msgpack`, by the names and in the shapes of a state dict. Each is handed out once.

    Args:
        leaves: the arrays by their paths in the tree.
    """

    def __init__(self, leaves: Mapping[Path, np.ndarray]) -> None:
        self._weights = {weight_name(path): weight(path, leaf) for path, leaf in leaves.items()}

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every weight, by its name."""
        return {name: tuple(item.shape) for name, item in self._weights.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        stored: np.ndarray = self._weights[name]
        return stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def load(
    model: FlaxConfiguredModel,
    location: Location,
    *,
    seed: int,
    ignore_mismatched_sizes: bool,
    ignore_unexpected_keys: bool,
) -> tuple[Tree, LoadingInfo]:
    """Load the parameters of a model that has none yet.

    Args:
        model: the model.
        location: where the weights are.
        seed: of what is not there, and is initialized anew.
        ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
        ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.

    Returns:
        The tree, and what did not come from the files or did not go into the model.

    Raises:
        ValueError: listing missing, unexpected and mismatched keys.
        FileNotFoundError: if there are no weights.
    """
    name = type(model).__name__
    stored = _open(location)
    origins = {to_module(origin, model.config.model_type): origin for origin in stored}
    shapes = stored.shapes
    matched = fit_strictly(
        name, location, {inner: shapes[origin] for inner, origin in origins.items()}, weights_of(model),
        ignore_mismatched_sizes=ignore_mismatched_sizes, ignore_unexpected_keys=ignore_unexpected_keys,
    )  # fmt: skip
    leaves = {}
    for path in flatten(model.params_shape_tree):
        if (inner := weight_name(path)) in matched.sources:
            leaves[path] = _leaf(path, stored[origins[matched.sources[inner]]])
    params = unflatten(leaves)
    if len(leaves) < len(model.required_params):
        params = model.init_weights(jax.random.key(seed), params=params)
    warn_of_fresh_weights(name, location, matched, stacklevel=3)  # the line that called `from_pretrained`
    return params, loading_info(matched)


def weights_of(model: FlaxConfiguredModel) -> ExpectedWeights:
    """Return what a model needs of a folder.

    Args:
        model: the model.

    Returns:
        Names and shapes, and what may be missing.
    """
    shapes = model.weight_shapes
    return expected_weights(
        shapes, tied_names(model.config) if "lm_head.bias" in shapes else {}, has_head=bool(model.base_prefix),
        are_embeddings_tied=model.config.tie_word_embeddings,
    )  # fmt: skip


def _leaf(path: Path, stored: np.ndarray) -> Array:
    """Return a stored weight as a parameter. It is copied, so that the file may be written anew."""
    copied: Array = jnp.array(weight(path, stored), copy=True)
    return copied


def _open(location: Location) -> StoredWeights | FlaxStoredWeights:
    """Return the stored weights: of safetensors where there are some, else of Flax' own file."""
    if paths := weight_files(location):
        return StoredWeights(paths)
    paths = weight_files(location, FLAX_FILE, FLAX_INDEX)
    if not paths:
        raise location.missing(WEIGHTS_FILE, FLAX_FILE)
    leaves: dict[Path, np.ndarray] = {}
    for path in paths:
        # A shard's tree is one of its own, of the same paths.
        leaves |= read(path)
    return FlaxStoredWeights(leaves)
