"""What all models share: how they are called, loaded and saved, and trained."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar

import keras

from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.inputs import by_name
from prenorm_model.keras.pretrained import SavedModel
from prenorm_model.outputs import ModelOutput


class PretrainedModel(SavedModel):
    """A model: it is called in all of the documented forms.

    Attributes:
        input_rank: the number of dimensions of `input_ids`.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    input_rank = 2
    # TensorFlow would trace the model on what it was built with, which is nothing; `export` says what goes in.
    _default_save_signature = None
    # It would also rewrite what a `tf.function` calls, unless that bears this mark. There is nothing to rewrite here.
    autograph_info__: ClassVar[dict[str, Any]] = {}
    _real_tokens: int | None = None

    @property
    def real_tokens(self) -> int | None:
        """How many ones an attention mask has, at most, in the graphs that are made from now on; None: nobody says.

        An encoder's graph then computes so many tokens, and attention alone sees pads: outputs at masked positions are zero.
        Of a mask with more ones all outputs are NaN. At once, the mask itself says it.
        """
        base: PretrainedModel = getattr(self, self.base_prefix) if self.base_prefix else self
        return base._real_tokens

    @real_tokens.setter
    def real_tokens(self, tokens: int | None) -> None:
        """Set the number, for the headless model inside.

        Args:
            tokens: the number; None: nobody says.

        Raises:
            ValueError: if it is not above 0.
        """
        if tokens is not None and tokens < 1:
            raise ValueError(f"real_tokens is {tokens}; it must be at least 1")
        base: PretrainedModel = getattr(self, self.base_prefix) if self.base_prefix else self
        base._real_tokens = tokens

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Compute the model: see `call` for the arguments.

        Args:
            *args: arguments by position; the first may be a list or tuple of several in order, or a dictionary by name.
            **named: arguments by name.

        Returns:
            What `call` returns.

        Raises:
            TypeError: naming the arguments that are unknown, too many, or given twice.
            ValueError: naming the argument, its value and the limit.
        """
        return super().__call__(**by_name(type(self).__name__, argument_names(type(self)), args, named))

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Write a graph for inference.

        Args:
            filepath: where to write.
            format: what to write, as Keras names it.
            verbose: whether to say what was written.
            input_signature: the inputs, as Keras takes them; default: `input_ids` and `attention_mask` by name, int32, of any
                sizes; on JAX, which knows no two inputs of one open length, of the longest length.
            **options: what Keras takes for the format.

        Raises:
            ValueError: if the default cannot be exported.
        """
        if input_signature is None:
            if keras.backend.backend() == "jax" and self.input_rank > 2:
                raise ValueError(
                    "JAX exports one open size, and here are two: pass an input_signature with fixed choices"
                )
            length = self.config.longest_text if keras.backend.backend() == "jax" else None
            shape = (*(None,) * (self.input_rank - 1), length)
            input_signature = [
                {
                    name: keras.InputSpec(shape=shape, dtype="int32", name=name)
                    for name in ("input_ids", "attention_mask")
                }
            ]
        super().export(str(filepath), format, verbose, input_signature, **options)

    def result(self, output: ModelOutput[Tensor], return_dict: bool | None) -> Any:
        """Return an output as the caller wants it.

        Args:
            output: the output.
            return_dict: whether to return it as it is, and not as a tuple; None: the config's `return_dict`.

        Returns:
            The output, or a tuple of its fields that are not None.
        """
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()


def argument_names(cls: type[PretrainedModel]) -> tuple[str, ...]:
    """Return the arguments of a class's `call`, in order.

    Args:
        cls: the class.

    Returns:
        Their names.
    """
    return tuple(inspect.signature(cls.call).parameters)[1:]
