"""Linear maps, norms and tables: Keras' layers, which know from the start what size goes in, and so are built at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from prenorm_model.config import RobertaPreLayerNormConfig


class Block(keras.layers.Layer):
    """A layer of several others, which are its attributes and bear their names; built with all of them at once.

    Args:
        name: the name of the attribute that holds it.
    """

    # Keras has a property of this name, for layers that one calls on symbolic tensors; the state dict has modules of it.
    output: Any = None

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def build(self, input_shape: Any = None) -> None:
        """Make the variables of the layers inside.

        Args:
            input_shape: not needed; the layers know their sizes.
        """
        build_inside(self)


def inside(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield the layers that a layer holds directly, by the names that a state dict has for them.

    Args:
        layer: a block or a model.

    Yields:
        Name and layer; those of a list have the list's name and their number.
    """
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield name, value
        elif isinstance(value, list):
            yield from (
                (f"{name}.{number}", item) for number, item in enumerate(value) if isinstance(item, keras.layers.Layer)
            )


def build_inside(layer: keras.layers.Layer) -> None:
    """Build what a layer holds, so that its variables lie below its own name.

    Args:
        layer: a block or a model.
    """
    for _, inner in inside(layer):
        if not inner.built:
            inner.build(None)


class Linear(keras.layers.Dense):
    """x W + b; `kernel` is what PyTorch calls `weight`, transposed.

    Args:
        inputs: size of the last dimension of what goes in.
        outputs: size of the last dimension of what comes out.
        config: the model's configuration; it says how fresh weights are drawn.
        name: the name of the attribute that holds it.
        use_bias: whether there is a b.
    """

    def __init__(
        self, inputs: int, outputs: int, config: RobertaPreLayerNormConfig, name: str, *, use_bias: bool = True
    ) -> None:
        spread = keras.initializers.RandomNormal(stddev=config.initializer_range)
        super().__init__(outputs, kernel_initializer=spread, use_bias=use_bias, name=name)
        self.inputs = inputs

    def build(self, input_shape: Any = None) -> None:
        """Make kernel and bias.

        Args:
            input_shape: not needed; the size of what goes in is known.
        """
        super().build((None, self.inputs))


class Norm(keras.layers.LayerNormalization):
    """LayerNorm over the last dimension; `gamma` and `beta` are what PyTorch calls `weight` and `bias`.

    Args:
        config: the model's configuration.
        name: the name of the attribute that holds it.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, name: str) -> None:
        super().__init__(epsilon=config.layer_norm_eps, name=name)
        self.width = config.hidden_size

    def build(self, input_shape: Any = None) -> None:
        """Make gamma and beta.

        Args:
            input_shape: not needed; the size of what goes in is known.
        """
        super().build((None, self.width))


class Table(keras.layers.Embedding):
    """A table of vectors; `embeddings` is what PyTorch calls `weight`.

    Args:
        rows: how many vectors.
        width: their size.
        config: the model's configuration; it says how fresh weights are drawn.
        name: the name of the attribute that holds it.
    """

    def __init__(self, rows: int, width: int, config: RobertaPreLayerNormConfig, name: str) -> None:
        spread = keras.initializers.RandomNormal(stddev=config.initializer_range)
        super().__init__(rows, width, embeddings_initializer=spread, name=name)
