"""The outputs as nodes of torch's trees, so that what maps over tensors (export, compile, hooks) reaches into them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from prenorm_model import outputs


def _flatten(output: outputs.ModelOutput[Tensor]) -> tuple[list[Any], list[str]]:
    """Return the values and the names of the fields that are not None."""
    return list(output.values()), list(output)


def _flatten_with_keys(output: outputs.ModelOutput[Tensor]) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Return each value with its place in the tree, which error messages show, and the names."""
    return [(pytree.MappingKey(name), value) for name, value in output.items()], list(output)


def _unflatten(
    output_class: type[outputs.ModelOutput[Tensor]], values: Iterable[Any], names: list[str]
) -> outputs.ModelOutput[Tensor]:
    """Return an output of these fields."""
    return output_class(dict(zip(names, values, strict=True)))


def register_outputs() -> None:
    """Make every class of outputs a node."""
    for output_class in vars(outputs).values():
        if isinstance(output_class, type) and issubclass(output_class, outputs.ModelOutput):
            pytree.register_pytree_node(
                output_class, _flatten, partial(_unflatten, output_class), flatten_with_keys_fn=_flatten_with_keys,
                serialized_type_name=f"prenorm_model.{output_class.__name__}",
            )  # fmt: skip
