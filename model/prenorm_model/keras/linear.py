"""Linear maps, norms and tables: Keras' layers, which know from the start what size goes in, and so are built at once."""

from __future__ import annotations

from typing import Any

import keras

from prenorm_model.config import RobertaPreLayerNormConfig


class Block(keras.layers.Layer):
    """A layer of several others, which have the names that the state dict has for them; built with all of them at once.

    Args:
        name: its own name; None: one of the class.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    @property
    def output(self) -> Any:
        """The projection that ends a block: so the state dict calls it, but Keras neither sets nor saves that attribute."""
        return self.projection

    def build(self, input_shape: Any = None) -> None:
        """Make the variables of the layers inside.

        Args:
            input_shape: not needed; the layers know their sizes.
        """
        build_inside(self)


def build_inside(layer: keras.layers.Layer) -> None:
    """Build what a layer holds, so that the paths of its variables begin with the layer's own.

    Args:
        layer: a block or a model.
    """
    for inner in layer._flatten_layers(include_self=False, recursive=False):
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
