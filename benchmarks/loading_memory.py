"""Peak memory of loading a roberta-large, with random weights, in each framework: a process of its own for each.

    PYTHONPATH=model .venv/bin/python benchmarks/loading_memory.py [--layers 24]

What is counted is the process's largest resident memory over what it has before loading, divided by the bytes of the weights.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import prenorm_model

CLASSES = {
    name: f"{prefix}RobertaPreLayerNormForMaskedLM"
    for name, prefix in (("torch", ""), ("keras", "TF"), ("flax", "Flax"))
}
LARGE = {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 50265}


def make(folder: Path, layers: int) -> None:
    """Write a folder, tensor by tensor as large as the model's, of random numbers."""
    import torch

    config = prenorm_model.RobertaPreLayerNormConfig(
        **LARGE, num_hidden_layers=layers, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    with torch.device("meta"):
        shapes = {
            name: tuple(item.shape)
            for name, item in prenorm_model.RobertaPreLayerNormForMaskedLM(config).saved_parameters().items()
        }
    generator = np.random.default_rng(0)
    config.save_pretrained(folder)
    save_file(
        {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()},
        folder / "model.safetensors", {"format": "pt"},
    )  # fmt: skip


def resident() -> int:
    """Return the memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def load(framework: str, folder: Path) -> None:
    """Load, after a small model that lets the framework set itself up, and print the ratio."""
    model = getattr(prenorm_model, CLASSES[framework])
    model(prenorm_model.RobertaPreLayerNormConfig(
        hidden_size=8, num_attention_heads=1, num_hidden_layers=1, intermediate_size=8, vocab_size=9
    ))  # fmt: skip
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    loaded = model.from_pretrained(folder)
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    weights = (folder / "model.safetensors").stat().st_size
    print(f"| {framework} | {weights / 1e9:.2f} | {(peak * 1024 - before) / weights:.2f} |", flush=True)
    del loaded


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--load", nargs=2, metavar=("FRAMEWORK", "FOLDER"), help="what each process is started with")
    arguments = parser.parse_args()
    if arguments.load:
        load(arguments.load[0], Path(arguments.load[1]))
        return
    print("| framework | weights, GB | peak / weights |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), arguments.layers)
        for framework in CLASSES:
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
            subprocess.run([sys.executable, __file__, "--load", framework, folder], check=True, env=environment)


if __name__ == "__main__":
    main()
