"""Our Flax models beside our PyTorch ones, with the same random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import torch
from jax import numpy as jnp

import prenorm_model
from helpers.model_pairs import randomize, settings
from prenorm_model import flax as flax_part
from prenorm_model.flax import losses
from prenorm_model.flax.params import flatten, unflatten, weight, weight_name


def flax_pair(name: str, dtype: str = "float64", **changes: Any) -> tuple[Any, Any]:
    """PyTorch's model of a class, in evaluation mode, and Flax' of the same weights."""
    config = prenorm_model.RobertaPreLayerNormConfig(**{**settings(name), **changes})
    torch.manual_seed(1)
    theirs = getattr(prenorm_model, name)(config).to(getattr(torch, dtype)).eval()
    randomize(theirs)
    ours = getattr(flax_part, f"Flax{name}")(config, dtype=dtype, _do_init=False)
    ours.params = tree_of({key: item.detach().numpy() for key, item in theirs.saved_parameters().items()}, ours)
    return theirs, ours


def tree_of(named: Mapping[str, np.ndarray], model: Any) -> Any:
    """Arrays by the names of a state dict, all of them, as the tree of a model's parameters."""
    paths = {weight_name(path): path for path in flatten(model.params_shape_tree)}
    assert set(paths) == set(named)
    return unflatten({path: jnp.array(weight(path, named[name])) for name, path in paths.items()})


def named_of(tree: Any) -> dict[str, np.ndarray]:
    """The way back: a tree's leaves by the names, and in the shapes, of a state dict."""
    return {weight_name(path): np.asarray(weight(path, leaf)) for path, leaf in flatten(tree).items()}


def as_arrays(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors of PyTorch as arrays."""
    return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


def loss_of(name: str, config: Any) -> Callable[[Any, Mapping[str, Any]], Any]:
    """The loss of a class: a function of output and labels."""
    if "QuestionAnswering" in name:
        return lambda output, labels: losses.span_loss(
            output.start_logits, output.end_logits, labels["start_positions"], labels["end_positions"]
        )
    if "MultipleChoice" in name:
        return lambda output, labels: losses.choice_loss(output.logits, labels["labels"])
    if "Sequence" in name:
        return lambda output, labels: losses.sequence_loss(output.logits, labels["labels"], config)
    if "Causal" in name:
        return lambda output, labels: losses.next_token_loss(output.logits, labels["labels"])
    if name == "RobertaPreLayerNormModel":
        return lambda output, _: (output.last_hidden_state**2).mean() + output.pooler_output.sum()
    return lambda output, labels: losses.token_loss(output.logits, labels["labels"])


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, float]:
    """The largest difference of each array of two outputs; ours has no loss, and a cache only if it got one."""
    fields = [field for field in theirs if field not in ("loss", "past_key_values")]
    assert fields == [field for field in ours if field != "past_key_values"]
    found = {}
    for field in fields:
        for (key, wanted), (_, got) in zip(_leaves(field, theirs[field]), _leaves(field, ours[field]), strict=True):
            assert wanted.shape == got.shape, key
            found[key] = float(np.abs(wanted - got).max())
    return found


def _leaves(field: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _leaves(f"{field}.{number}", item)
    else:
        yield field, value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def compiled(model: Any, **fixed: Any) -> Callable[..., Any]:
    """A model's call as one compiled function, of parameters and arrays by name."""
    return jax.jit(lambda params, arrays: model(**arrays, params=params, **fixed))
