"""Time the Flax models and those of transformers 4, compiled: one run, same weights, inputs, threads; alternating rounds.

    PYTHONPATH=model .venv-transformers-4.57/bin/python benchmarks/flax_against_transformers.py [--rounds 5] [--only NAME]

The ratio is transformers' time over ours, medians of processor time, which other programs disturb
least: above 1 ours is faster. Of a ragged batch ours is given the number of tokens that are no pads (`real_tokens`),
since a compiled function knows shapes alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import flax
import jax
import numpy as np
import transformers
from jax import numpy as jnp

import prenorm_model
from prenorm_model.flax.losses import token_loss

BASE: dict[str, Any] = {
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
SMALL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
ENCODER, MASKED = "FlaxRobertaPreLayerNormModel", "FlaxRobertaPreLayerNormForMaskedLM"


def models(name: str, changes: dict[str, Any]) -> tuple[Any, Any]:
    """Return both models of a class, with the same weights: one tree of parameters fits both."""
    values = {**BASE, **changes}
    ours = getattr(prenorm_model, name)(prenorm_model.RobertaPreLayerNormConfig(**values))
    theirs = getattr(transformers, name)(transformers.RobertaPreLayerNormConfig(**values), _do_init=False)
    return ours, theirs


def ragged(rows: int, shortest: int, longest: int) -> dict[str, Any]:
    """Return a padded batch with lengths spread evenly, as a tokenizer makes it."""
    lengths = np.linspace(shortest, longest, rows).astype(int)
    mask = np.arange(longest)[None] < lengths[:, None]
    ids = np.where(mask, np.random.default_rng(0).integers(4, 50000, (rows, longest)), 1)
    return {"input_ids": jnp.asarray(ids), "attention_mask": jnp.asarray(mask, jnp.int32)}


def encode(model: Any, **options: Any) -> Callable[..., Any]:
    """Return the compiled forward of a model."""
    return jax.jit(lambda params, batch: model(**batch, params=params, **options)[0])


def train(model: Any, **options: Any) -> Callable[..., Any]:
    """Return the compiled loss and gradient of a masked LM, dropout on; the loss is the same function for both."""

    def step(params: Any, batch: Any) -> Any:
        labels = jnp.where((batch["input_ids"] % 7 == 0) & (batch["attention_mask"] == 1), batch["input_ids"], -100)

        def loss(params: Any) -> Any:
            output = model(**batch, params=params, train=True, dropout_rng=jax.random.PRNGKey(0), **options)
            return token_loss(output.logits, labels)

        return jax.value_and_grad(loss)(params)

    return jax.jit(step)


def measure(runs: tuple[Callable[[], Any], Callable[[], Any]], rounds: int) -> tuple[float, float]:
    """Time both in alternating rounds, after one that compiles."""
    times: tuple[list[float], list[float]] = ([], [])
    for count in range(rounds + 1):
        for which in (0, 1) if count % 2 else (1, 0):
            start = time.process_time()
            jax.block_until_ready(runs[which]())
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
    arguments = parser.parse_args()
    cases = [
        ("encoder, 4 x 256 tokens", ENCODER, encode, ragged(4, 256, 256)),
        ("encoder, 8 texts of 26 to 256 tokens", ENCODER, encode, ragged(8, 26, 256)),
        ("training step, 4 x 128 tokens", MASKED, train, ragged(4, 128, 128)),
        ("training step, 8 texts of 13 to 128 tokens", MASKED, train, ragged(8, 13, 128)),
    ]
    print(
        f"jax {jax.__version__}, flax {flax.__version__}, transformers {transformers.__version__}, {jax.devices()[0]}"
    )
    print("| case | ours, s | transformers, s | ratio |\n|---|---|---|---|")
    for title, name, make, batch in cases:
        if arguments.only not in title:
            continue
        ours, theirs = models(name, SMALL if arguments.small else {"num_hidden_layers": arguments.layers})
        real = int(batch["attention_mask"].sum())
        known = {"real_tokens": -(-real // 64) * 64} if real < batch["attention_mask"].size else {}
        first, second = make(ours, **known), make(theirs)
        runs = lambda: first(ours.params, batch), lambda: second(ours.params, batch)  # noqa: B023 - run at once
        one, other = measure(runs, arguments.rounds)
        print(f"| {title} | {one:.3f} | {other:.3f} | {other / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
