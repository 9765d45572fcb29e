"""From a folder or a Hub repo to a model: nothing is initialized that is loaded, and nothing is left out in silence."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.fitting import ExpectedWeights, Fit, fit
from prenorm_model.folder import INDEX_FILE, WEIGHTS_FILE, weight_files
from prenorm_model.naming import BASE_PREFIX, to_module
from prenorm_model.torch.module import ConfiguredModule

OLD_WEIGHTS_FILE, OLD_INDEX_FILE = "pytorch_model.bin", "pytorch_model.bin.index.json"

ModuleT = TypeVar("ModuleT", bound=ConfiguredModule)


class _NoInitialization(TorchFunctionMode):
    """Makes `torch.nn.init` leave tensors as they are.

    On the meta device there is nothing to fill, yet `normal_` there imports torch's compiler, most of a second.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else args[0]
        return func(*args, **named)


def load(
    cls: type[ModuleT],
    source: str | Path,
    *,
    config: RobertaPreLayerNormConfig | None,
    revision: str | None,
    dtype: torch.dtype | str | None,
    device: torch.device | str | None,
    ignore_mismatched_sizes: bool,
    ignore_unexpected_keys: bool,
    changes: Mapping[str, Any],
) -> ModuleT:
    """Load a model, in evaluation mode.

    Args:
        cls: the model's class.
        source: a folder on disk, or a repo's id on the Hub.
        config: in place of the folder's config.json.
        revision: branch, tag or commit of the repo.
        dtype: the type of the weights, or its name; None and "auto": as stored.
        device: where to put the model; None: where the weights are mapped.
        ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
        ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.
        changes: fields of the config to change, and arguments of the class.

    Returns:
        The model.

    Raises:
        ValueError: listing missing, unexpected and mismatched keys, or naming what else cannot be.
        FileNotFoundError: if there is no config.json or no weights.
    """
    model = _without_weights(cls, source, config, revision, changes)
    model_type = model.config.model_type
    stored = {to_module(name, model_type): tensor for name, tensor in _read(source, revision)}
    shapes = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    matched = fit(shapes, _expected_weights(model), ignore_mismatched_sizes=ignore_mismatched_sizes)
    problems = sorted([*matched.problems, *(() if ignore_unexpected_keys else matched.unexpected)])
    if problems:
        raise ValueError(f"{source} does not fit {cls.__name__}:\n  " + "\n  ".join(problems))
    _fill(model, {name: stored[key] for name, key in matched.sources.items()}, matched, _dtype(dtype))
    if matched.fresh:
        parts = sorted({re.sub(r"\.\d+\.crossattention$", ".*.crossattention", part) for part in matched.fresh})
        verb = "is" if len(parts) == 1 else "are"
        warnings.warn(
            f"{', '.join(parts)} of {cls.__name__} {verb} not in {source} and newly initialized; "
            "train before you rely on it",
            stacklevel=3,  # the line that called `from_pretrained`
        )
    model.eval()
    return model if device is None else model.to(device)


def _without_weights(
    cls: type[ModuleT],
    source: str | Path,
    config: RobertaPreLayerNormConfig | None,
    revision: str | None,
    changes: Mapping[str, Any],
) -> ModuleT:
    """Make the model on the meta device, its config read from the folder where none is given."""
    constructor = {name for name in inspect.signature(cls).parameters if name != "config"}
    arguments = {name: value for name, value in changes.items() if name in constructor}
    fields = {name: value for name, value in changes.items() if name not in constructor}
    if config is None:
        config = RobertaPreLayerNormConfig.from_pretrained(source, revision=revision, **fields)
    elif fields:
        raise ValueError(f"{', '.join(fields)}: change the config that is given, or leave it out")
    with torch.device("meta"), _NoInitialization():
        return cls(config, **arguments)


def _expected_weights(model: ConfiguredModule) -> ExpectedWeights:
    """Return what the model needs of a folder."""
    has_head = bool(model.base_prefix)
    heads = [(name,) for name, _ in model.named_children() if has_head and name != BASE_PREFIX]
    # Which the weights of an encoder, that is to become a decoder, lack in every layer.
    cross_attention = tuple(name for name, _ in model.named_modules() if name.endswith(".crossattention"))
    return ExpectedWeights(
        shapes={name: tuple(parameter.shape) for name, parameter in model.saved_parameters().items()},
        aliases=model.tied_names(model.config),
        optional_parts=(*heads, (f"{BASE_PREFIX}.pooler" if has_head else "pooler",), cross_attention),
        has_head=has_head,
        are_embeddings_tied=model.config.tie_word_embeddings,
    )


def _fill(model: ConfiguredModule, tensors: Mapping[str, Tensor], matched: Fit, dtype: torch.dtype | None) -> None:
    """Put the tensors into the model, which is on the meta device, and initialize what is new."""
    for name, tensor in tensors.items():
        weight = tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)
        model.set_parameter(name, nn.Parameter(weight, requires_grad=weight.is_floating_point()))
    stored_dtype = next((tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()), torch.float32)
    for name, parameter in model.saved_parameters().items():
        if parameter.is_meta:
            model.set_parameter(name, nn.Parameter(torch.empty(parameter.shape, dtype=dtype or stored_dtype)))
    model.tie_weights()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for part in matched.fresh:
        owner = part.rpartition(".")[0] if part in parameters else part
        for inner, module in model.get_submodule(owner).named_modules(prefix=owner):
            _initialize_new(model, inner, module, keep=tensors)
    model.tie_weights()


def _initialize_new(model: ConfiguredModule, prefix: str, module: nn.Module, keep: Mapping[str, Tensor]) -> None:
    """Initialize the module at `prefix`, but give back the parameters that were loaded or belong to another part."""
    aliases = model.tied_names(model.config)
    loaded = {}
    for leaf, parameter in module.named_parameters(recurse=False):
        name = f"{prefix}.{leaf}"
        if aliases.get(name, name) in keep:
            loaded[leaf] = parameter
            setattr(module, leaf, nn.Parameter(torch.empty_like(parameter)))
        elif parameter.dim() == 1 and not isinstance(module, nn.LayerNorm):
            nn.init.zeros_(parameter)
    model.initialize(module)
    for leaf, parameter in loaded.items():
        setattr(module, leaf, parameter)


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return the type that is meant; None: as stored."""
    if dtype is None or dtype == "auto" or isinstance(dtype, torch.dtype):
        return dtype if isinstance(dtype, torch.dtype) else None
    value = getattr(torch, dtype, None)
    if not isinstance(value, torch.dtype) or not value.is_floating_point:
        raise ValueError(f"dtype is {dtype!r}, not the name of a floating-point type")
    return value


def _read(source: str | Path, revision: str | None) -> Iterator[tuple[str, Tensor]]:
    """Yield the stored tensors: safetensors where there are some, else an old pickle, through torch's safe loader."""
    for name, index in ((WEIGHTS_FILE, INDEX_FILE), (OLD_WEIGHTS_FILE, OLD_INDEX_FILE)):
        paths = weight_files(source, name, index, revision=revision)
        for path in paths:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    for key in file.keys():  # noqa: SIM118 - safe_open is no dictionary
                        yield key, file.get_tensor(key)
            else:
                yield from torch.load(path, map_location="cpu", weights_only=True, mmap=True).items()
        if paths:
            return
    raise FileNotFoundError(f"{source} has no {WEIGHTS_FILE} and no {OLD_WEIGHTS_FILE}")
