"""The tree of parameters, and the names that its leaves have in a state dict.

Attribute paths are those of the state dict. A leaf is called `kernel`, `embedding`, `scale` or `bias`, as in transformers'
Flax; there it is a `weight` or `bias`, and a kernel is transposed: that is the whole map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

Path = tuple[str, ...]
# A nested dictionary whose leaves are arrays, or shapes of such.
Tree = dict[str, Any]


def flatten(tree: Mapping[str, Any]) -> dict[Path, Any]:
    """Return the leaves of a tree by their paths, in the tree's order.

    Args:
        tree: nested mappings.

    Returns:
        The leaves.
    """
    leaves: dict[Path, Any] = {}
    for name, item in tree.items():
        if isinstance(item, Mapping):
            leaves |= {(str(name), *path): leaf for path, leaf in flatten(item).items()}
        else:
            leaves[str(name),] = item
    return leaves


def unflatten(leaves: Mapping[Path, Any]) -> Tree:
    """Return the tree of leaves.

    Args:
        leaves: by their paths.

    Returns:
        Nested dictionaries.
    """
    tree: Tree = {}
    for path, leaf in leaves.items():
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = leaf
    return tree


def weight_name(path: Path) -> str:
    """Return the name that a leaf has in a state dict.

    Args:
        path: the leaf's path.

    Returns:
        The name.
    """
    return ".".join([*path[:-1], "bias" if path[-1] == "bias" else "weight"])


def weight_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a leaf has in a state dict; the way back is the same.

    Args:
        path: the leaf's path.
        shape: its shape in the tree.

    Returns:
        The shape, of a kernel turned round.
    """
    return shape[::-1] if path[-1] == "kernel" else shape


def weight(path: Path, leaf: Any) -> Any:
    """Return a leaf as it is in a state dict; the way back is the same.

    Args:
        path: its path.
        leaf: an array, of numpy too.

    Returns:
        The array, a kernel transposed.
    """
    return leaf.T if path[-1] == "kernel" else leaf


def fresh_leaf(path: Path, shape: jax.ShapeDtypeStruct, key: Array, spread: float, pad_token_id: int) -> Array:
    """Draw a parameter: normal; biases, and pads of word and position embeddings, are zero, norms one.

    Args:
        path: its path.
        shape: its shape and type.
        key: where to draw from.
        spread: the standard deviation, `initializer_range`.
        pad_token_id: the pad's row.

    Returns:
        The parameter.
    """
    if path[-1] == "bias":
        return jnp.zeros(shape.shape, shape.dtype)
    if path[-1] == "scale":
        return jnp.ones(shape.shape, shape.dtype)
    drawn = jax.random.normal(key, shape.shape, shape.dtype) * jnp.asarray(spread, shape.dtype)
    return drawn.at[pad_token_id].set(0) if path[-2] in ("word_embeddings", "position_embeddings") else drawn
