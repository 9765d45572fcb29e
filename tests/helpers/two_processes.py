"""Training on two processes of this machine, over gloo: each class's gradients beside those of one process."""

from __future__ import annotations

import copy
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from helpers.model_pairs import inputs_for, labels_for, pair


def train(rank: int, folder: Path, kinds: tuple[str, ...], names: tuple[str, ...]) -> None:
    """The work of one process; `torch.multiprocessing.spawn` raises what it raises."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    for name, kind, checkpointing in product(names, kinds, (False, True)):
        _compare(name, kind, rank, checkpointing=checkpointing)
    dist.destroy_process_group()


def _compare(name: str, kind: str, rank: int, *, checkpointing: bool) -> None:
    net, _ = pair(name, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    net.train()
    alone = copy.deepcopy(net)
    halves = [_loss(alone, name, half) for half in range(2)]
    ((halves[0] + halves[1]) / 2).backward()
    if checkpointing:
        net.gradient_checkpointing_enable()
    wrapped = DistributedDataParallel(net) if kind == "ddp" else _sharded(net)
    loss = _loss(wrapped, name, rank)
    assert abs(float(loss.detach()) - float(halves[rank].detach())) < 1e-12
    loss.backward()
    assert any(float(item.grad.abs().max()) > 0 for item in alone.parameters() if item.grad is not None)
    for (key, item), (other, expected) in zip(net.named_parameters(), alone.named_parameters(), strict=True):
        assert key == other
        assert (item.grad is None) == (expected.grad is None), key
        if expected.grad is not None:
            assert float((_whole(item.grad) - expected.grad).abs().max()) < 1e-12, f"{name}, {kind}: {key}"
    torch.optim.AdamW(net.parameters(), lr=0.01).step()
    torch.optim.AdamW(alone.parameters(), lr=0.01).step()
    for key, value in alone.state_dict().items():
        assert float((_whole(net.state_dict()[key]) - value).abs().max()) < 1e-9, key


def _sharded(net: Any) -> nn.Module:
    """FSDP2 as accelerate does it: each layer by itself, and what is left over around them."""
    mesh = init_device_mesh("cpu", (2,))
    layers = [item for item in net.modules() if type(item).__name__ in net._no_split_modules]
    assert len(layers) == net.config.num_hidden_layers
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(net, mesh=mesh)


def _whole(x: torch.Tensor) -> torch.Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x


def _loss(net: nn.Module, name: str, half: int) -> torch.Tensor:
    """The loss of one half of the batch: of its first row, or of the two others."""
    rows = slice(0, 1) if half == 0 else slice(1, 3)
    inputs = {key: value[rows] for key, value in inputs_for(name).items()}
    labels = {key: value[rows] for key, value in labels_for(name).items()}
    output = net(**inputs, **labels)
    loss: torch.Tensor = output.loss if labels else output.last_hidden_state.square().mean() + output[1].mean()
    return loss
