"""From a folder or a Hub repo to a model: nothing is initialized that is loaded, and nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.fitting import ExpectedWeights, Fit, expected_weights
from prenorm_model.folder import INDEX_FILE, WEIGHTS_FILE, variant_name, weight_files
from prenorm_model.hub import Location
from prenorm_model.loading import LoadingInfo, fit_strictly, loading_info, warn_of_fresh_weights
from prenorm_model.naming import to_module
from prenorm_model.torch.module import ConfiguredModule

OLD_WEIGHTS_FILE, OLD_INDEX_FILE = "pytorch_model.bin", "pytorch_model.bin.index.json"

ModuleT = TypeVar("ModuleT", bound=ConfiguredModule)


class NoInitialization(TorchFunctionMode):
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


@dataclass(frozen=True)
class LoadingOptions:
    """How weights are read and put into a model; `SavedModule.from_pretrained` explains the fields."""

    state_dict: Mapping[str, Tensor] | None = None
    dtype: torch.dtype | str | None = None
    device: torch.device | None = None
    variant: str | None = None
    use_safetensors: bool | None = None
    disable_mmap: bool | None = None
    ignore_mismatched_sizes: bool = False
    ignore_unexpected_keys: bool = False


def load(
    cls: type[ModuleT],
    location: Location,
    config: RobertaPreLayerNormConfig,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    options: LoadingOptions,
) -> tuple[ModuleT, LoadingInfo]:
    """Load a model, in evaluation mode.

    Args:
        cls: the model's class.
        location: where the weights are.
        config: the model's configuration.
        arguments: the arguments of the class after the config, by place and by name.
        options: how.

    Returns:
        The model, and what did not come from the files or did not go into the model.

    Raises:
        ValueError: listing missing, unexpected and mismatched keys, or naming what else cannot be.
    """
    model = without_weights(cls, config, *arguments[0], **arguments[1])
    tensors = options.state_dict.items() if options.state_dict is not None else _read(location, options)
    stored = {to_module(name, config.model_type): tensor for name, tensor in tensors}
    matched = fit_strictly(
        cls.__name__, location, {name: tuple(tensor.shape) for name, tensor in stored.items()}, weights_of(model),
        ignore_mismatched_sizes=options.ignore_mismatched_sizes, ignore_unexpected_keys=options.ignore_unexpected_keys,
    )  # fmt: skip
    dtype = config.dtype if options.dtype in (None, "auto") else options.dtype
    _fill(model, {name: stored[key] for name, key in matched.sources.items()}, matched, _dtype(dtype))
    warn_of_fresh_weights(cls.__name__, location, matched, stacklevel=3)  # the line that called `from_pretrained`
    model.eval()
    return model if options.device is None else model.to(options.device), loading_info(matched)


def without_weights(
    cls: type[ModuleT], config: RobertaPreLayerNormConfig, *arguments: Any, **named_arguments: Any
) -> ModuleT:
    """Make a model on the meta device, where its weights have shapes alone.

    Args:
        cls: the model's class.
        config: its configuration.
        *arguments: arguments of the class after the config, by place.
        **named_arguments: the same by name.

    Returns:
        The model.
    """
    with torch.device("meta"), NoInitialization():
        return cls(config, *arguments, **named_arguments)


def one_device(device_map: Mapping[str, Any] | torch.device | str | int | None) -> torch.device | None:
    """Return the device that a device map puts the whole model on.

    Args:
        device_map: a device, or a mapping of the whole model, "", to one; None: nowhere else than where it is loaded.

    Returns:
        The device.

    Raises:
        ValueError: if the map is none of a single device.
    """
    if isinstance(device_map, Mapping):
        device_map = device_map[""] if set(device_map) == {""} else "several devices"
    try:
        return None if device_map is None else torch.device(device_map)
    except RuntimeError as error:
        raise ValueError(f"device_map is {device_map!r}; it must be one device, such as 'cpu' or 'cuda:0'") from error


def weights_of(model: ConfiguredModule) -> ExpectedWeights:
    """Return what a model needs of a folder.

    Args:
        model: the model; its weights may be on the meta device.

    Returns:
        Names and shapes, and what may be missing.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in model.saved_parameters().items()}
    return expected_weights(
        shapes, model.tied_names(model.config), has_head=bool(model.base_prefix),
        are_embeddings_tied=model.config.tie_word_embeddings,
    )  # fmt: skip


def _fill(model: ConfiguredModule, tensors: Mapping[str, Tensor], matched: Fit, dtype: torch.dtype | None) -> None:
    """Put the tensors into the model, which is on the meta device, and initialize what is new."""
    for name, tensor in tensors.items():
        weight = tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)
        model.set_parameter(name, nn.Parameter(weight, requires_grad=weight.is_floating_point()))
    stored_dtype = next((tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()), torch.float32)
    for name, parameter in model.saved_parameters().items():
        if parameter.is_meta:
            model.set_parameter(
                name, nn.Parameter(torch.empty(parameter.shape, dtype=dtype or stored_dtype, device="cpu"))
            )
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
    value = dtype if isinstance(dtype, torch.dtype | None) else getattr(torch, dtype.removeprefix("torch."), dtype)
    if value is not None and not (isinstance(value, torch.dtype) and value.is_floating_point):
        raise ValueError(f"dtype is {dtype!r}, not a floating-point type of torch, its name, or 'auto'")
    return value


def _read(location: Location, options: LoadingOptions) -> Iterator[tuple[str, Tensor]]:
    """Yield the stored tensors: safetensors where there are some, else an old pickle, through torch's safe loader."""
    kinds = {True: (WEIGHTS_FILE, INDEX_FILE), False: (OLD_WEIGHTS_FILE, OLD_INDEX_FILE)}
    if options.use_safetensors is not None:
        kinds = {bool(options.use_safetensors): kinds[bool(options.use_safetensors)]}
    for is_safe, (name, index) in kinds.items():
        paths = weight_files(location, name, index, variant=options.variant)
        for path in paths:
            if is_safe and options.disable_mmap:
                yield from safetensors.torch.load(path.read_bytes()).items()
            elif is_safe:
                with safe_open(path, framework="pt") as file:
                    for key in file.keys():  # noqa: SIM118 - safe_open is no dictionary
                        yield key, file.get_tensor(key)
            else:
                yield from torch.load(
                    path, map_location="cpu", weights_only=True, mmap=not options.disable_mmap
                ).items()
        if paths:
            return
    raise location.missing(*(variant_name(name, options.variant) for name, _ in kinds.values()))
