"""Time the Keras models and those of transformers 4 in TensorFlow: one run, same weights, inputs, threads.

    PYTHONPATH=model .venv-transformers-4.57/bin/python benchmarks/keras_against_transformers.py [--small] [--only NAME]

Rounds alternate. The ratio is transformers' time over ours, medians of processor time, which other programs disturb
least: above 1 ours is faster. Of a ragged batch, graphs are given the number of tokens that are no pads (`real_tokens`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow")

import numpy as np
import tensorflow as tf
import transformers

import prenorm_model

BASE: dict[str, Any] = {
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
SMALL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
ENCODER, MASKED = "TFRobertaPreLayerNormModel", "TFRobertaPreLayerNormForMaskedLM"


def models(name: str, changes: dict[str, Any]) -> tuple[Any, Any]:
    """Return both models of a class, with the same weights."""
    config = prenorm_model.RobertaPreLayerNormConfig(**{**BASE, **changes})
    ours = getattr(prenorm_model, name)(config)
    with tempfile.TemporaryDirectory() as folder:
        ours.save_pretrained(folder, safe_serialization=False)
        return ours, getattr(transformers, name).from_pretrained(folder)


def ragged(rows: int, shortest: int, longest: int) -> dict[str, Any]:
    """Return a padded batch with lengths spread evenly, as a tokenizer makes it."""
    lengths = np.linspace(shortest, longest, rows).astype(int)
    mask = np.arange(longest)[None] < lengths[:, None]
    ids = np.where(mask, np.random.default_rng(0).integers(4, 50000, (rows, longest)), 1)
    return {"input_ids": tf.constant(ids, tf.int32), "attention_mask": tf.constant(mask, tf.int32)}


def encode(model: Any, kind: str) -> Callable[..., Any]:
    """Return the forward of a model: at once, as a graph, or as one of XLA."""

    def forward(batch: Any) -> Any:
        return model(batch)[0]

    return forward if kind == "at once" else tf.function(forward, jit_compile=kind == "XLA")


def train(model: Any, kind: str) -> Callable[..., Any]:
    """Return the loss and gradients of a masked LM, dropout on."""
    # Keras 3 wraps TensorFlow's variables, `value`; of a variable itself that is a method, whose result nothing depends on.
    variables = [item if callable(item.value) else item.value for item in model.trainable_variables]

    def step(batch: Any) -> Any:
        ids = batch["input_ids"]
        labels = tf.where((ids % 7 == 0) & (batch["attention_mask"] == 1), ids, -100)
        with tf.GradientTape() as tape:
            loss = model(batch, labels=labels, training=True).loss
        gradients = tape.gradient(loss, variables)
        assert sum(gradient is not None for gradient in gradients) > len(variables) - 3
        return loss, gradients

    return step if kind == "at once" else tf.function(step, jit_compile=kind == "XLA")


def measure(runs: tuple[Callable[[], Any], Callable[[], Any]], rounds: int) -> tuple[float, float]:
    """Time both in alternating rounds, after one that compiles."""
    times: tuple[list[float], list[float]] = ([], [])
    for count in range(rounds + 1):
        for which in (0, 1) if count % 2 else (1, 0):
            start = time.process_time()
            tf.nest.flatten(runs[which]())[0].numpy()
            if count:
                times[which].append(time.process_time() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that this program runs")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--only", default="", help="the cases whose title has this in it")
    parser.add_argument("--how", default="", help="at once, graph or XLA; default: all")
    arguments = parser.parse_args()
    cases = [
        ("encoder, 4 x 256 tokens", ENCODER, encode, ragged(4, 256, 256)),
        ("encoder, 8 texts of 26 to 256 tokens", ENCODER, encode, ragged(8, 26, 256)),
        ("training step, 4 x 128 tokens", MASKED, train, ragged(4, 128, 128)),
        ("training step, 8 texts of 13 to 128 tokens", MASKED, train, ragged(8, 13, 128)),
    ]
    print(f"tensorflow {tf.__version__}, transformers {transformers.__version__}")
    print("| case | how | ours, s | transformers, s | ratio |\n|---|---|---|---|---|")
    for title, name, make, batch in cases:
        if arguments.only not in title:
            continue
        ours, theirs = models(name, SMALL if arguments.small else {"num_hidden_layers": arguments.layers})
        real = int(tf.reduce_sum(batch["attention_mask"]))
        ours.real_tokens = -(-real // 64) * 64
        for kind in ("at once", "graph", "XLA"):
            if arguments.how not in kind:
                continue
            first, second = make(ours, kind), make(theirs, kind)
            runs = lambda: first(batch), lambda: second(batch)  # noqa: B023 - run at once
            one, other = measure(runs, arguments.rounds)
            print(f"| {title} | {kind} | {one:.3f} | {other:.3f} | {other / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
