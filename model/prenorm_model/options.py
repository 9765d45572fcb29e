"""Options by name: what a call does not know is an error that says what was meant, and what it does not do is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

# What transformers' `from_pretrained` takes and this package does not do, with the reason or the way.
UNSUPPORTED_LOADING: Mapping[str, str] = {
    "adapter_kwargs": "adapters are peft's: load the model, then peft.PeftModel.from_pretrained(model, ...)",
    "adapter_name": "adapters are peft's: load the model, then peft.PeftModel.from_pretrained(model, ...)",
    "allow_all_kernels": "the model uses PyTorch's kernels",
    "device_mesh": "shard the loaded model with torch.distributed",
    "distributed_config": "shard the loaded model with torch.distributed",
    "experts_implementation": "the model has no experts",
    "from_flax": "only safetensors and PyTorch's files are read",
    "from_tf": "only safetensors and PyTorch's files are read",
    "fusion_config": "the model has nothing to fuse",
    "generation_config": "give it to generate",
    "gguf_file": "only safetensors and PyTorch's files are read",
    "kernel_config": "the model uses PyTorch's kernels",
    "key_mapping": "rename the tensors, and pass them as state_dict",
    "load_in_4bit": "quantized weights are not computed with",
    "load_in_8bit": "quantized weights are not computed with",
    "max_memory": "the model goes to one device: device_map='cuda:0'",
    "offload_buffers": "the model goes to one device: device_map='cuda:0'",
    "offload_folder": "the model goes to one device: device_map='cuda:0'",
    "offload_state_dict": "the model goes to one device: device_map='cuda:0'",
    "proxies": "huggingface_hub takes proxies from the environment: HTTPS_PROXY",
    "quantization_config": "quantized weights are not computed with",
    "resume_download": "huggingface_hub always resumes",
    "tqdm_class": "nothing takes so long that its progress is shown",
    "tp_plan": "shard the loaded model with torch.distributed",
    "tp_size": "shard the loaded model with torch.distributed",
    "trust_remote_code": "no code is ever loaded from a repo",
    "use_auth_token": "its name is token",
    "use_flash_attention_2": "PyTorch's fused attention is used where it can be",
    "use_kernels": "the model uses PyTorch's kernels",
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
