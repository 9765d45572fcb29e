"""Time the bundled model and transformers': one run, same weights, same inputs, same threads; medians of alternating rounds.

    python benchmarks/against_transformers.py [--rounds 5] [--device cpu] [--dtype float32] [--small] [--only NAME]

The ratio is transformers' time over ours: above 1 ours is faster.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

import prenorm_model as model

BASE: dict[str, Any] = {
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
SMALL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}


def models(name: str, device: str, dtype: torch.dtype, changes: dict[str, Any]) -> tuple[Any, Any]:
    """Return both models of a class, with the same weights, in evaluation mode.

    Args:
        name: the class's name in both packages.
        device: where to put them.
        dtype: the type of their weights.
        changes: fields of the config that are not those of a roberta-base.

    Returns:
        Ours and theirs.
    """
    values = {**BASE, **changes}
    ours = getattr(model, name)(model.RobertaPreLayerNormConfig(**values)).to(device, dtype).eval()
    theirs = getattr(transformers, name)(transformers.RobertaPreLayerNormConfig(**values)).to(device, dtype).eval()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def ragged(device: str, rows: int = 16, shortest: int = 32, longest: int = 256) -> dict[str, torch.Tensor]:
    """Return a padded batch with lengths spread evenly, as a tokenizer makes it.

    Args:
        device: where to put it.
        rows: number of texts.
        shortest: tokens of the shortest text.
        longest: tokens of the longest text.

    Returns:
        `input_ids` and `attention_mask`, [rows, longest] each.
    """
    lengths = torch.linspace(shortest, longest, rows).long()
    ids = torch.randint(4, 50000, (rows, longest), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(longest)[None] < lengths[:, None]
    return {"input_ids": torch.where(mask, ids, 1).to(device), "attention_mask": mask.long().to(device)}


def full(device: str, rows: int = 8, length: int = 512) -> dict[str, torch.Tensor]:
    """Return a batch without a pad.

    Args:
        device: where to put it.
        rows: number of texts.
        length: tokens of each.

    Returns:
        `input_ids` and `attention_mask`, [rows, length] each.
    """
    ids = torch.randint(4, 50000, (rows, length), generator=torch.Generator().manual_seed(0)).to(device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def encode(batch: dict[str, torch.Tensor]) -> Callable[[Any], object]:
    """Return a function that computes a model's forward without gradients.

    Args:
        batch: the forward's arguments.

    Returns:
        A function of the model.
    """

    def run(net: Any) -> object:
        with torch.inference_mode():
            return net(**batch)

    return run


def train(batch: dict[str, torch.Tensor]) -> Callable[[Any], object]:
    """Return a function that computes forward, loss, backward and update of a masked LM, dropout on.

    Args:
        batch: the forward's arguments.

    Returns:
        A function of the model.
    """
    labels = torch.where((batch["input_ids"] % 7 == 0) & batch["attention_mask"].bool(), batch["input_ids"], -100)
    optimizers: dict[int, torch.optim.Optimizer] = {}

    def run(net: Any) -> object:
        net.train()
        optimizer = optimizers.setdefault(id(net), torch.optim.AdamW(net.parameters(), lr=1e-6))
        loss = net(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return run


def generate(device: str, tokens: int = 64) -> Callable[[Any], object]:
    """Return a function that continues one text greedily.

    Args:
        device: where to put the text.
        tokens: how many tokens to add.

    Returns:
        A function of the model.
    """
    ids = torch.randint(4, 50000, (1, 16), generator=torch.Generator().manual_seed(0)).to(device)

    def run(net: Any) -> object:
        options = {} if isinstance(net, model.RobertaPreLayerNormForCausalLM) else {"do_sample": False}
        end = {"eos_token_id": -1} if not options else {"eos_token_id": None}
        text: torch.Tensor = net.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **options, **end
        )
        assert text.shape[1] == 16 + tokens
        return text

    return run


def measure(run: Callable[[Any], object], nets: tuple[Any, Any], rounds: int, device: str) -> tuple[float, float]:
    """Time both models in alternating rounds, after one that warms up.

    Args:
        run: what to time.
        nets: our model and theirs.
        rounds: how many rounds to count.
        device: where the models are.

    Returns:
        Median seconds of ours and theirs.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for count in range(rounds + 1):
        for which in (0, 1) if count % 2 else (1, 0):
            _wait(device)
            start = time.perf_counter()
            run(nets[which])
            _wait(device)
            if count:
                times[which].append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def _wait(device: str) -> None:
    """Wait until the device has computed what it was asked for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that this program runs")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    device, dtype = arguments.device, getattr(torch, arguments.dtype)
    changes = SMALL if arguments.small else {}
    encoder, masked, causal = (f"RobertaPreLayerNorm{part}" for part in ("Model", "ForMaskedLM", "ForCausalLM"))
    cases: list[tuple[str, str, dict[str, Any], Callable[[Any], object]]] = [
        ("encoder, 16 texts of 32 to 256 tokens", encoder, {}, encode(ragged(device))),
        ("encoder, 8 x 512 tokens", encoder, {}, encode(full(device))),
        ("training step, 16 texts of 32 to 256 tokens", masked, {}, train(ragged(device))),
        ("training step, 4 x 256 tokens", masked, {}, train(full(device, 4, 256))),
        ("64 greedy tokens", causal, {"is_decoder": True}, generate(device)),
    ]
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{versions}, {device}, {arguments.dtype}, {torch.get_num_threads()} threads")
    print("| case | ours, s | transformers, s | ratio |\n|---|---|---|---|")
    for title, name, special, run in cases:
        if arguments.only not in title:
            continue
        nets = models(name, device, dtype, {**changes, **special})
        ours, theirs = measure(run, nets, arguments.rounds, device)
        print(f"| {title} | {ours:.3f} | {theirs:.3f} | {theirs / ours:.2f} |", flush=True)


if __name__ == "__main__":
    main()
