"""Training by `fit`: with the model's own loss, where `compile` was given none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.module import ConfiguredModel


class TrainableModel(ConfiguredModel):
    """A model that has a loss of its own, over the labels by the names that `call` has for them.

    Attributes:
        label_names: the arguments of `call` that are labels.
        logit_names: the fields of the output that a loss of Keras compares with the labels.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    label_names: tuple[str, ...] = ("labels",)
    logit_names: tuple[str, ...] = ("logits",)

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [1] or [batch], as `call` returns it."""
        raise NotImplementedError

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of a batch: the one given to `compile`, else the model's own.

        Args:
            x: the inputs; the model's own loss takes labels from here too, where they are among the inputs.
            y: the labels: one array, several in a list or tuple in order, or by name.
            y_pred: the output.
            sample_weight: weights of the rows, [batch].
            training: whether the model is being trained.

        Returns:
            A scalar.

        Raises:
            ValueError: if there are no labels, or they do not suit the model.
        """
        if self._compile_loss is not None:
            logits = self.logits_for(y, y_pred)
            return super().compute_loss(x, y, logits, sample_weight, training)
        if not self.label_names:
            raise ValueError(f"{type(self).__name__} has no loss of its own; give one to compile")
        labels = self._labels(y)
        loss = self._own_loss(y_pred, **labels) if labels else y_pred.get("loss")
        if loss is None:
            raise ValueError(
                f"there are no labels: pass them to fit as y, or as {' and '.join(self.label_names)} among the inputs"
            )
        if sample_weight is not None:
            if loss.shape[0] == 1:
                raise ValueError("the model's own loss is one number for the batch, and takes no sample_weight")
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return ops.mean(loss)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Return the metrics' values after a batch, which compare the logits with the labels.

        Args:
            x: the inputs.
            y: the labels; where they are among the inputs, those.
            y_pred: the output.
            sample_weight: weights of the rows.

        Returns:
            The values by name.
        """
        if y is None and isinstance(x, Mapping) and all(name in x for name in self.label_names):
            labels = [x[name] for name in self.label_names]
            y = labels[0] if len(labels) == 1 else dict(zip(self.logit_names, labels, strict=True))
        values: dict[str, Any] = super().compute_metrics(x, y, self.logits_for(y, y_pred), sample_weight)
        return values

    def logits_for(self, y: Any, y_pred: Any) -> Any:
        """Return what a loss or a metric of Keras takes of an output.

        Args:
            y: the labels.
            y_pred: the output.

        Returns:
            The logits; by name, where the labels come by the names of outputs, else in order. Of a class without logits, and
            of anything that is no output of `call`, itself.
        """
        if not isinstance(y_pred, Mapping) or not all(name in y_pred for name in self.logit_names):
            return y_pred
        if isinstance(y, Mapping):
            return {name: y_pred[name] for name in self.logit_names}
        logits = [y_pred[name] for name in self.logit_names]
        return logits[0] if len(logits) == 1 else type(y)(logits) if isinstance(y, list | tuple) else tuple(logits)

    def _labels(self, y: Any) -> dict[str, Tensor]:
        """Return the labels by name; none where `fit` was given none."""
        if y is None:
            return {}
        if isinstance(y, Mapping):
            if set(y) != set(self.label_names):
                raise ValueError(f"the labels are named {', '.join(y)}; they must be {', '.join(self.label_names)}")
            return dict(y)
        several: Sequence[Any] = y if isinstance(y, list | tuple) else [y]
        if len(several) != len(self.label_names):
            raise ValueError(f"there are {len(several)} arrays of labels; they must be {', '.join(self.label_names)}")
        return dict(zip(self.label_names, several, strict=True))
