"""From a folder or a Hub repo to a model: nothing is initialized that is loaded, and nothing is left out in silence."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.naming import to_module
from prenorm_model.torch.base import BASE_PREFIX, PretrainedModel
from prenorm_model.torch.hub import find_file

WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
OLD_WEIGHTS_FILE, OLD_INDEX_FILE = "pytorch_model.bin", "pytorch_model.bin.index.json"

# What a folder may hold that the model at hand has no use for: other tasks' heads, and tables that are no weights.
_OTHER_PARTS = ("lm_head.", "classifier.", "qa_outputs.", "pooler.", f"{BASE_PREFIX}.pooler.")
_TABLES = ("embeddings.position_ids", "embeddings.token_type_ids")

Model = TypeVar("Model", bound=PretrainedModel)


class _NoInitialization(TorchFunctionMode):
    """Makes `torch.nn.init` leave tensors as they are. On the meta device there is nothing to fill, yet `normal_` there
    imports torch's compiler, most of a second.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else args[0]
        return func(*args, **named)


def load(
    cls: type[Model],
    source: str | Path,
    *,
    config: RobertaPreLayerNormConfig | None,
    revision: str | None,
    dtype: torch.dtype | str | None,
    device: torch.device | str | None,
    ignore_mismatched_sizes: bool,
    changes: Mapping[str, Any],
) -> Model:
    """What `PretrainedModel.from_pretrained` does; see there."""
    constructor = {name for name in inspect.signature(cls).parameters if name != "config"}
    arguments = {name: value for name, value in changes.items() if name in constructor}
    fields = {name: value for name, value in changes.items() if name not in constructor}
    if config is None:
        config = RobertaPreLayerNormConfig.from_pretrained(source, revision=revision, **fields)
    elif fields:
        raise ValueError(f"{', '.join(fields)}: change the config that is given, or leave it out")
    with torch.device("meta"), _NoInitialization():
        model = cls(config, **arguments)
    stored = {to_module(name, config.model_type): tensor for name, tensor in _read(source, revision)}
    fit = _fit(model, stored, ignore_mismatched_sizes=ignore_mismatched_sizes)
    if fit.problems:
        raise ValueError(f"{source} does not fit {cls.__name__}:\n  " + "\n  ".join(sorted(fit.problems)))
    _fill(model, fit, _dtype(dtype))
    if fit.fresh:
        warnings.warn(
            f"{', '.join(sorted(fit.fresh))} of {cls.__name__} {'is' if len(fit.fresh) == 1 else 'are'} not in {source} and "
            "newly initialized; train before you rely on it",
            stacklevel=4,
        )
    model.eval()
    return model if device is None else model.to(device)


@dataclass
class _Fit:
    """Which stored tensor each parameter gets, which parts are initialized anew, and what does not fit."""

    tensors: dict[str, Tensor]
    fresh: set[str]
    problems: list[str]


def _fit(model: PretrainedModel, stored: dict[str, Tensor], *, ignore_mismatched_sizes: bool) -> _Fit:
    """Holds the stored tensors against the model's parameters."""
    stored = _with_prefix(model, stored)
    expected = model.saved_parameters()
    aliases = model.tied_names(model.config)
    for alias, name in aliases.items():
        # A folder may have a tied weight under its other name only. And of an untied head, transformers computes with
        # `lm_head.decoder.bias` alone, whatever `lm_head.bias` says.
        if alias in stored and (name not in stored or not model.config.tie_word_embeddings):
            stored[name] = stored[alias]
    missing = expected.keys() - stored.keys()
    fresh = {part for part in _parts(model) if _inside(part, expected) and _inside(part, expected) <= missing}
    problems = [
        f"missing: {name}, shape {list(expected[name].shape)}"
        for name in missing
        if not any(name.startswith(f"{part}.") for part in fresh)
    ]
    problems += [
        f"unexpected: {name}, shape {list(tensor.shape)}"
        for name, tensor in stored.items()
        if name not in expected
        and name not in aliases
        and not name.startswith(_OTHER_PARTS)
        and not name.endswith(_TABLES)
    ]
    tensors: dict[str, Tensor] = {}
    for name in expected.keys() & stored.keys():
        if stored[name].shape == expected[name].shape:
            tensors[name] = stored[name]
        elif ignore_mismatched_sizes:
            fresh.add(name)
        else:
            problems.append(
                f"mismatched: {name} is {list(stored[name].shape)} in the file, {list(expected[name].shape)} in the model"
            )
    return _Fit(tensors, fresh, problems)


def _with_prefix(model: PretrainedModel, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adds or takes away the prefix of the headless model, so that a folder of one class loads in another."""
    has_prefix = any(name.startswith(f"{BASE_PREFIX}.") for name in stored)
    if model.base_prefix and not has_prefix:
        return {f"{BASE_PREFIX}.{name}": tensor for name, tensor in stored.items()}
    if not model.base_prefix and has_prefix:
        return {name.removeprefix(f"{BASE_PREFIX}."): tensor for name, tensor in stored.items()}
    return stored


def _parts(model: PretrainedModel) -> list[str]:
    """The parts that may be missing whole: heads and pooler."""
    heads = [name for name, _ in model.named_children() if model.base_prefix and name != BASE_PREFIX]
    return [*heads, f"{model.base_prefix}.pooler" if model.base_prefix else "pooler"]


def _inside(part: str, names: Mapping[str, object]) -> set[str]:
    return {name for name in names if name.startswith(f"{part}.")}


def _fill(model: PretrainedModel, fit: _Fit, dtype: torch.dtype | None) -> None:
    """Puts the tensors into the model, which is on the meta device, and initializes what is new."""
    for name, tensor in fit.tensors.items():
        wanted = tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)
        _set(model, name, nn.Parameter(wanted, requires_grad=wanted.is_floating_point()))
    kind = next((tensor.dtype for tensor in fit.tensors.values() if tensor.is_floating_point()), torch.float32)
    for name, parameter in model.saved_parameters().items():
        if parameter.is_meta:
            _set(model, name, nn.Parameter(torch.empty(parameter.shape, dtype=dtype or kind)))
    model.tie_weights()
    for part in fit.fresh:
        owner = part if not _is_parameter(model, part) else part.rpartition(".")[0]
        for module in model.get_submodule(owner).modules():
            _initialize_new(model, module, keep=fit.tensors)
    model.tie_weights()


def _is_parameter(model: nn.Module, name: str) -> bool:
    return name in dict(model.named_parameters(remove_duplicate=False))


def _initialize_new(model: PretrainedModel, module: nn.Module, keep: Mapping[str, Tensor]) -> None:
    """Initializes a module, but gives back the parameters that were loaded or belong to another part."""
    prefix = next(name for name, candidate in model.named_modules() if candidate is module)
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


def _set(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, parameter)


def _dtype(wanted: torch.dtype | str | None) -> torch.dtype | None:
    if wanted is None or wanted == "auto" or isinstance(wanted, torch.dtype):
        return wanted if isinstance(wanted, torch.dtype) else None
    found = getattr(torch, wanted, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype is {wanted!r}, not the name of a floating-point type")
    return found


def _read(source: str | Path, revision: str | None) -> Iterator[tuple[str, Tensor]]:
    """The stored tensors: safetensors where there are some, else an old pickle, through torch's safe loader."""
    for name, index in ((WEIGHTS_FILE, INDEX_FILE), (OLD_WEIGHTS_FILE, OLD_INDEX_FILE)):
        paths = _weight_files(source, name, index, revision)
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


def _weight_files(source: str | Path, name: str, index: str, revision: str | None) -> list[Path]:
    """The files that hold the weights, as the index names them, or the one file there is.

    Raises:
        ValueError: if the index is none or names a file outside the folder.
        FileNotFoundError: if a file that the index names is missing.
    """
    listed = find_file(source, index, revision=revision)
    if listed is None:
        single = find_file(source, name, revision=revision)
        return [] if single is None else [single]
    content = json.loads(listed.read_text(encoding="utf-8"))
    where = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(where, dict) or not all(isinstance(shard, str) for shard in where.values()):
        raise ValueError(f"{listed} has no weight_map")
    shards = sorted(set(where.values()))
    if any(Path(shard).name != shard for shard in shards):
        raise ValueError(f"{listed} names a file outside the folder")
    found = []
    for shard in shards:
        path = find_file(source, shard, revision=revision)
        if path is None:
            raise FileNotFoundError(f"{source} has no {shard}, which {index} names")
        found.append(path)
    return found
