"""From a folder or a Hub repo to a model: nothing is initialized that is loaded, and nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import keras
import numpy as np

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.fitting import ExpectedWeights, expected_weights
from prenorm_model.folder import WEIGHTS_FILE, variant_name, weight_files
from prenorm_model.hub import Location
from prenorm_model.keras.h5_file import H5_FILE, H5_INDEX, H5Weights
from prenorm_model.keras.module import ConfiguredModel, NamedWeight
from prenorm_model.loading import LoadingInfo, fit_strictly, loading_info, warn_of_fresh_weights
from prenorm_model.naming import to_module
from prenorm_model.weights import StoredWeights

ModelT = TypeVar("ModelT", bound=ConfiguredModel)


class StoredValue:
    """An initializer of a variable, by which it begins as the stored weight, and as nothing else before.

    Args:
        weights: the stored weights.
        name: the weight's name there.
        named: the variable.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], name: str, named: NamedWeight) -> None:
        self._weights, self._name, self._named = weights, name, named
        self.is_used = False

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return the weight; read now, and kept by nobody but the variable.

        Args:
            shape: the variable's, which the weight was found to have.
            dtype: the variable's.

        Returns:
            The tensor.
        """
        self.is_used = True
        stored = self._weights[self._name]
        value = np.ascontiguousarray(stored.T if self._named.is_transposed else stored)
        # A copy where that was none: what is mapped changes with its file.
        return keras.ops.convert_to_tensor(value if value.flags.owndata else np.array(value), dtype=dtype)


def load(
    cls: type[ModelT],
    location: Location,
    config: RobertaPreLayerNormConfig,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    variant: str | None,
    use_safetensors: bool | None,
    ignore_mismatched_sizes: bool,
    ignore_unexpected_keys: bool,
) -> tuple[ModelT, LoadingInfo]:
    """Load a model.

    Args:
        cls: the model's class.
        location: where the weights are.
        config: the model's configuration.
        arguments: the arguments of the class after the config, by place and by name.
        variant: a part of the weight files' names; None: none.
        use_safetensors: whether to read safetensors, or TensorFlow's own file; None: safetensors where there are some.
        ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
        ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.

    Returns:
        The model, and what did not come from the files or did not go into the model.

    Raises:
        ValueError: listing missing, unexpected and mismatched keys.
        FileNotFoundError: if there are no weights.
        RuntimeError: if this Keras initializes variables in another way, and the model would not have the weights.
    """
    stored = _open(location, variant, use_safetensors)
    origins = {to_module(origin, config.model_type): origin for origin in stored}
    shapes = stored.shapes
    # In this scope Keras makes variables without values. At its end it asks each one's initializer for them.
    with keras.StatelessScope():
        model = cls(config, *arguments[0], **arguments[1])
        matched = fit_strictly(
            cls.__name__, location, {inner: shapes[origin] for inner, origin in origins.items()}, weights_of(model),
            ignore_mismatched_sizes=ignore_mismatched_sizes, ignore_unexpected_keys=ignore_unexpected_keys,
        )  # fmt: skip
        values = []
        for name, named in model.named_weights().items():
            if name in matched.sources:
                value = StoredValue(stored, origins[matched.sources[name]], named)
                named.variable._initializer = value
                values.append(value)
    if not all(value.is_used for value in values):
        raise RuntimeError(f"Keras {keras.__version__} did not ask for the weights of {location}")
    warn_of_fresh_weights(cls.__name__, location, matched, stacklevel=3)  # the line that called `from_pretrained`
    return model, loading_info(matched)


def weights_of(model: ConfiguredModel) -> ExpectedWeights:
    """Return what a model needs of a folder.

    Args:
        model: the model; its variables may have no values yet.

    Returns:
        Names and shapes, and what may be missing.
    """
    return expected_weights(
        {name: weight.shape for name, weight in model.named_weights().items()}, model.tied_names(model.config),
        has_head=bool(model.base_prefix), are_embeddings_tied=model.config.tie_word_embeddings,
    )  # fmt: skip


def _open(location: Location, variant: str | None, use_safetensors: bool | None) -> StoredWeights | H5Weights:
    """Return the stored weights: of what is asked for, else of safetensors where there are some, else of tf_model.h5."""
    if use_safetensors is not False and (paths := weight_files(location, variant=variant)):
        return StoredWeights(paths)
    if use_safetensors is not True and (paths := weight_files(location, H5_FILE, H5_INDEX, variant=variant)):
        return H5Weights(paths)
    asked = {True: (WEIGHTS_FILE,), False: (H5_FILE,), None: (WEIGHTS_FILE, H5_FILE)}[use_safetensors]
    raise location.missing(*(variant_name(name, variant) for name in asked))
