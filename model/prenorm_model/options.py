"""Options by name: what a call does not know is an error that says what was meant, and what it does not do is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

# What transformers' `from_pretrained` takes and this package does not do, with the reason or the way: in no framework, and in
# one of them. What PyTorch's classes refuse by name, the others refuse too, for their own reasons.
_IN_NONE: Mapping[str, str] = {
    "experts_implementation": "the model has no experts",
    "fusion_config": "the model has nothing to fuse",
    "load_in_4bit": "quantized weights are not computed with",
    "load_in_8bit": "quantized weights are not computed with",
    "proxies": "huggingface_hub takes proxies from the environment: HTTPS_PROXY",
    "quantization_config": "quantized weights are not computed with",
    "resume_download": "huggingface_hub always resumes",
    "tqdm_class": "nothing takes so long that its progress is shown",
    "trust_remote_code": "no code is ever loaded from a repo",
    "use_auth_token": "its name is token",
}


def _unsupported(
    *, adapters: str, devices: str, files: str, generation: str, kernels: str, names: str, shards: str
) -> Mapping[str, str]:
    """Return what a framework's classes refuse: the reason for each group of options, and those that hold in all."""
    groups = {
        adapters: ("adapter_kwargs", "adapter_name"),
        devices: ("max_memory", "offload_buffers", "offload_folder", "offload_state_dict"),
        files: ("from_flax", "from_tf", "gguf_file"),
        generation: ("generation_config",),
        kernels: ("allow_all_kernels", "kernel_config", "use_flash_attention_2", "use_kernels"),
        names: ("key_mapping",),
        shards: ("device_mesh", "distributed_config", "tp_plan", "tp_size"),
    }
    return {**_IN_NONE, **{name: reason for reason, group in groups.items() for name in group}}


UNSUPPORTED_LOADING = _unsupported(
    adapters="adapters are peft's: load the model, then peft.PeftModel.from_pretrained(model, ...)",
    devices="the model goes to one device: device_map='cuda:0'",
    files="only safetensors and PyTorch's files are read",
    generation="give it to generate",
    kernels="the model uses PyTorch's kernels, its fused attention where it can be",
    names="rename the tensors, and pass them as state_dict",
    shards="shard the loaded model with torch.distributed",
)
UNSUPPORTED_FLAX_LOADING = _unsupported(
    adapters="adapters are peft's, which wraps PyTorch's classes",
    devices="parameters go to JAX's default device; jax.device_put(model.params, ...) moves them",
    files="only safetensors and flax_model.msgpack are read, whichever is there",
    generation="the Flax classes have no generate",
    kernels="XLA compiles what the model computes",
    names="rename the tensors in the file, or set model.params",
    shards="shard the loaded parameters: jax.device_put(model.params, ...)",
)
UNSUPPORTED_KERAS_LOADING = {
    **_unsupported(
        adapters="adapters are peft's, which wraps PyTorch's classes",
        devices="variables go to the device of Keras' backend; keras.device chooses it",
        files="only safetensors and tf_model.h5 are read, whichever is there",
        generation="the Keras classes have no generate",
        kernels="the model is computed by Keras' backend",
        names="rename the tensors in the file",
        shards="a Keras model is on one device; the Flax classes, which load the same folder, can be sharded",
    ),
    "load_weight_prefix": "weights are found by their names in the state dict, with or without the prefix",
    "tf_to_pt_weight_rename": "weights have the names of the state dict",
}
# What transformers takes and has no effect there any more; here it never had one.
IGNORED_LOADING = frozenset({"low_cpu_mem_usage", "mirror"})
# The same of `save_pretrained`.
UNSUPPORTED_SAVING: Mapping[str, str] = {
    "distributed_checkpoint": "use torch.distributed.checkpoint",
    "save_function": "weights are written as safetensors only",
    "tags": "write them into the repo's README.md",
    "use_auth_token": "its name is token",
}
IGNORED_SAVING = frozenset({"save_original_format", "save_peft_format"})  # of adapters and names that there are none of


def unknown_names(names: Iterable[str], known: Iterable[str]) -> str:
    """Return the names, each with the known one that it resembles.

    Args:
        names: the names that nothing has.
        known: the names that there are.

    Returns:
        A part of a sentence.
    """
    close = [(name, get_close_matches(name, known, 1)) for name in sorted(names)]
    return ", ".join(f"{name!r} (did you mean {match[0]!r}?)" if match else repr(name) for name, match in close)


def refuse_unknown(call: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise an error that names all unknown keyword arguments at once.

    Args:
        call: what was called.
        names: the keyword arguments that came.
        known: those that there are.

    Raises:
        TypeError: if there are unknown ones.
    """
    if unknown := set(names) - (known := set(known)):
        plural = "s" if len(unknown) > 1 else ""
        raise TypeError(f"{call} got unexpected keyword argument{plural} {unknown_names(unknown, sorted(known))}")


def refuse_unsupported(call: str, options: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
    """Raise an error that names all options at once that ask for what is not done.

    Args:
        call: what was called.
        options: the options that came; one that is None, False or empty asks for nothing.
        reasons: the options that are not supported, each with the reason or the way.

    Raises:
        ValueError: if some are.
    """
    asked = sorted(
        name for name, value in options.items() if name in reasons and value not in (None, False, "", {}, [])
    )
    if asked:
        raise ValueError(f"{call} does not take " + "; ".join(f"{name}: {reasons[name]}" for name in asked))
