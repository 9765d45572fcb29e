"""fairseq's forward, stage by stage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .building import LM_HEAD, LoadedModel
from .files import read_tensors, write_tensors
from .patches import casts_replaced
from .refusal import Refusal

if TYPE_CHECKING:  # Python 3.8 knows such types in annotations only
    Sink = Callable[[str, dict[str, torch.Tensor]], None]


class RunningModel:
    """A loaded model that is run.

    The request says besides how it is built: `logits` and `heads` (what to compute behind the encoder) and `dtype`.

    Attributes:
        loaded: the model.
        casts: whether fairseq casts to float32 somewhere.
        used: the source tensors that the outputs depend on.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        """Load the model, and find out which tensors matter.

        Args:
            request: the request.

        Raises:
            Refusal: if this fairseq cannot build or load it, or does not compute with its own modules.
        """
        self.loaded = LoadedModel(request)
        self.casts = False
        self.used = self._find_used()

    def _find_used(self) -> list[str]:
        """Return the source tensors that the outputs depend on, as torch's graph of a forward of two tokens has them."""
        words = [id_ for id_ in range(3) if id_ != self.loaded.request["pad"]][:2]
        leaves: dict[int, list[str]] = {}
        for name, tensor in self.loaded.model.state_dict(keep_vars=True).items():
            if tensor.is_floating_point():
                leaves.setdefault(id(tensor), []).append(name)
                tensor.requires_grad_(True)
        outputs: list[torch.Tensor] = []
        casts: list[bool] = []

        def cast(tensor: torch.Tensor) -> torch.Tensor:
            casts.append(True)
            return tensor.to(torch.float32)

        with torch.enable_grad(), casts_replaced(cast):
            self._forward(torch.tensor([words]), lambda name, parts: outputs.extend(parts.values()))
        self.casts = bool(casts)
        reached = {name for leaf in _leaves(outputs) for name in leaves.get(leaf, [])}
        if not self.loaded.request["logits"]:  # the head's matrix is the embedding, which the encoder reaches
            reached = {name for name in reached if not name.startswith(LM_HEAD)}
        for tensor in self.loaded.model.state_dict(keep_vars=True).values():
            tensor.requires_grad_(False)
        return sorted({self.loaded.origins[name] for name in reached if name in self.loaded.origins})

    def run(self, ids: torch.Tensor, folder: Path, on_stage: Callable[[dict[str, Any]], None]) -> None:
        """Run one batch in every way that is asked for; the last is the one that is answered.

        With `dtype` float64 it is computed three times: in float32; in float64 with fairseq's own casts to float32 (there is
        one in its GELU) lifted; and in float64 as it is. The differences to the last are the noise: what float32 costs, and
        what fairseq's casts cost.

        Args:
            ids: token ids [batch, length].
            folder: where the files of activations go.
            on_stage: called with the answer for every stage: its name, its file, and its noise.
        """
        others: dict[str, Path] = {}
        if self.loaded.request["dtype"] == "float64":
            self.loaded.become(torch.float32)
            others["float32"] = folder / "float32"
            self._write(ids, others["float32"])
            self.loaded.become(torch.float64)
            if self.casts:
                others["rounding"] = folder / "lifted"
                with casts_replaced(lambda tensor: tensor.double()):
                    self._write(ids, others["rounding"])
        real = ids != self.loaded.request["pad"]
        number = 0

        def answer(name: str, parts: dict[str, torch.Tensor]) -> None:
            nonlocal number
            path = folder / f"{number}.safetensors"
            write_tensors(str(path), parts)
            noise = _noise(parts, real, {kind: place / str(number) for kind, place in others.items()})
            on_stage({"stage": name, "file": path.name, "noise": noise})
            number += 1

        with torch.no_grad():
            self._forward(ids, answer)

    def _write(self, ids: torch.Tensor, folder: Path) -> None:
        """Run a forward whose stages go to numbered files."""
        folder.mkdir()
        paths = (str(folder / str(number)) for number in range(1 << 30))
        with torch.no_grad():
            self._forward(ids, lambda name, parts: write_tensors(next(paths), parts))

    def _forward(self, ids: torch.Tensor, sink: Sink) -> None:
        """Run fairseq's forward; `sink` gets every stage as it is computed, its parts [batch, length, width].

        The query, key and value projections of each layer are computed by fairseq's modules from what its attention is
        given: inside, it hands their weights to torch's fused function.
        """
        with contextlib.ExitStack() as hooks:
            self._hook(hooks, sink)
            features = self.loaded.model(ids, features_only=True)[0]
            if self.loaded.request["logits"]:
                words = ids != self.loaded.request["pad"]
                sink("logits", {"out": self.loaded.model.encoder.output_layer(features, masked_tokens=words)})
            for name in self.loaded.request["heads"]:
                self._head(name, features, sink)

    def _head(self, name: str, features: torch.Tensor, sink: Sink) -> None:
        head = self.loaded.model.classification_heads[name]
        seen: dict[str, torch.Tensor] = {}
        handle = head.dense.register_forward_hook(lambda module, inputs, made: seen.update(dense=made))
        try:
            seen["out"] = head(features)
        finally:
            handle.remove()
        sink("head." + name, seen)

    def _hook(self, hooks: contextlib.ExitStack, sink: Sink) -> None:
        def on(module: Any, act: Callable[[Any], None]) -> None:
            handle = module.register_forward_hook(lambda module, inputs, made: act(made))
            hooks.callback(handle.remove)

        first = self.loaded.encoder.layers[0].register_forward_pre_hook(
            lambda module, inputs: sink("embeddings", {"out": _rows(inputs[0])})
        )
        hooks.callback(first.remove)
        for number, layer in enumerate(self.loaded.encoder.layers):
            _hook_layer(number, layer, on, sink)
        on(self.loaded.encoder.layer_norm, lambda made: sink("layer_norm", {"out": _rows(made)}))


def _hook_layer(number: int, layer: Any, on: Callable[[Any, Callable[[Any], None]], None], sink: Sink) -> None:
    seen: dict[str, torch.Tensor] = {}
    attention = layer.self_attn

    def normed(made: torch.Tensor) -> None:
        for part in ("q_proj", "k_proj", "v_proj"):
            seen[part] = _rows(getattr(attention, part)(made))

    def done(made: Any) -> None:
        seen["out"] = _rows(made[0] if isinstance(made, tuple) else made)
        if len(seen) != 7:
            raise Refusal("run", f"layer {number} computes with a fused kernel, not with its own modules")
        sink(f"layers.{number}", dict(seen))
        seen.clear()

    on(layer.self_attn_layer_norm, normed)
    on(attention, lambda made: seen.update(out_proj=_rows(made[0])))
    on(layer.fc1, lambda made: seen.update(fc1=_rows(made)))
    on(layer.fc2, lambda made: seen.update(fc2=_rows(made)))
    on(layer, done)


def _rows(made: torch.Tensor) -> torch.Tensor:
    """Return values [length, batch, width], as fairseq's encoder has them, as [batch, length, width]."""
    return made.transpose(0, 1)


def _noise(parts: dict[str, torch.Tensor], real: torch.Tensor, others: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return each part's largest absolute value, and its largest difference to the files of `others`; pads left out."""

    def words(values: torch.Tensor) -> torch.Tensor:
        return (values[real] if values.dim() == 3 else values).double()

    measurements = {part: {"scale": _largest(words(values))} for part, values in parts.items()}
    for kind, path in others.items():
        there = read_tensors(str(path))
        for part, values in parts.items():
            measurements[part][kind] = _largest(words(there[part]) - words(values))
        path.unlink()
    return measurements


def _largest(values: torch.Tensor) -> float:
    values = values[torch.isfinite(values)].abs()
    return float(values.max()) if values.numel() else 0.0


def _leaves(outputs: list[torch.Tensor]) -> Iterator[int]:
    """Yield the ids of the tensors that the graph behind `outputs` ends in."""
    left = [tensor.grad_fn for tensor in outputs]
    seen = set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield id(node.variable)
        left.extend(following for following, _ in node.next_functions)
