"""The bundled model on a folder's files, one block's weights in memory at a time.

The model is loaded from the folder as any user loads it, and its own forward runs. Only, each block's parameters are read
again from the files, widened to float64, when the block is entered, and given back when it is left: a roberta-large is
proven in float64 without ever being held in float64. The vocabulary's matrix is as large as several blocks, so that
the map it stands for is computed some rows at a time.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

import prenorm_model
from prenorm.mapping.targets import Target
from prenorm.options import TaskKind
from prenorm.proof.protocols import Ids, OnStage
from prenorm.proof.runtimes.hooks import HookedModel
from prenorm.proof.runtimes.observed import MIN_PADS
from prenorm_model.folder import weight_files
from prenorm_model.naming import to_file

_WORDS, _DECODER = "embeddings.word_embeddings.weight", "lm_head.decoder.weight"
_ROWS_AT_ONCE = 8192


class BundledRuntime(HookedModel):
    """The folder's model, in evaluation mode, computing in float64 unless told otherwise."""

    name = "bundled"

    def __init__(self, folder: Path, target: Target, task: TaskKind, compute: str = "float64") -> None:
        """Load the folder strictly, as the class that the task wants.

        Args:
            folder: config.json and safetensors files.
            target: the architecture that the folder must be of.
            task: what it is for.
            compute: `float64` or `float32`.

        Raises:
            ValueError: if the files do not fit the model.
        """
        self._dtype: torch.dtype = getattr(torch, compute)
        options = {"add_pooling_layer": False} if task is TaskKind.ENCODER else {}
        model_class = getattr(prenorm_model, target.bundled_classes[task])
        # The audit names the tensors that the model has no use for; the numbers of the others are wanted all the same.
        model = model_class.from_pretrained(folder, ignore_unexpected_keys=True, **options)
        self._files = _index(folder)
        self._model_type: str = model.config.model_type
        self._aliases: dict[str, str] = model.tied_names(model.config)
        self._ids = torch.empty(0, dtype=torch.long)
        self._wide: dict[tuple[str, torch.Size], Tensor] = {}
        self._open: dict[Path, Any] = {}
        self._blocks: list[str] = []
        super().__init__(model, target.modules[self.name], task)
        for path, module in model.named_modules():
            if any(True for _ in module.parameters(recurse=False)) and not self._is_in_block(path):
                self._stream(path)
        if task is TaskKind.MASKED_LM:
            decoder = model.get_submodule("lm_head.decoder")
            decoder.forward = partial(self._decode, decoder)

    def report(self, path: str, stage: str) -> None:
        """Report the output of a block as a stage, and let the block find its weights in float64 when it runs.

        Args:
            path: the block.
            stage: the stage's name.
        """
        self._stream(path)  # before the report, so that the weights have left memory when the reference computes
        super().report(path, stage)

    def begin(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> tuple[Tensor, Tensor]:
        """Get ready for one batch; see `HookedModel.begin`.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as it is computed.

        Returns:
            Ids and mask as tensors.
        """
        self._ids = torch.unique(torch.from_numpy(input_ids))
        self._reach_every_branch(input_ids.shape[1], is_padded=bool((attention_mask == 0).any()))
        return super().begin(input_ids, attention_mask, on_stage)

    def _reach_every_branch(self, length: int, *, is_padded: bool) -> None:
        """Let the model choose by the probe's sizes what it chooses by those of its users' batches.

        Rows with many pads are computed without these, rows with few pads with them; the row without pads goes through the
        feed-forward blocks in two pieces and a rest, the others in one.
        """
        base: Any = self.model.base_model
        width = base.config.intermediate_size * self._dtype.itemsize
        base.min_pads = MIN_PADS
        base.wide_bytes = type(base).wide_bytes if is_padded else max(1, (length - 1) // 2) * width

    def _is_in_block(self, path: str) -> bool:
        """Return whether a module's weights are those of a block that is streamed already."""
        return any(path == block or path.startswith(f"{block}.") for block in self._blocks)

    def _stream(self, path: str) -> None:
        """Let the block at `path` find its weights in float64 when it runs."""
        self._blocks.append(path)
        block = self.model.get_submodule(path)
        mapped: list[tuple[nn.Module, str, nn.Parameter]] = []

        def enter(module: nn.Module, inputs: object) -> None:
            for name, parameter in list(block.named_parameters(remove_duplicate=False)):
                if f"{path}.{name}" == _DECODER:
                    continue
                owner_path, _, leaf = name.rpartition(".")
                owner = block.get_submodule(owner_path)
                if owner in self.planted:
                    continue
                mapped.append((owner, leaf, parameter))
                setattr(owner, leaf, nn.Parameter(self._read(path, name), requires_grad=False))

        def leave(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._open.clear()
            while mapped:
                owner, leaf, parameter = mapped.pop()
                setattr(owner, leaf, parameter)

        block.register_forward_pre_hook(enter)
        block.register_forward_hook(leave)

    def _read(self, path: str, name: str) -> Tensor:
        """Return the parameter `name` of the block at `path` in float64, in the memory of the last one of that shape.

        To ask for new memory each time is half of the cost.
        """
        stored = self._stored(f"{path}.{name}")
        if f"{path}.{name}".endswith(_WORDS):
            # Only the rows that are looked up: the others' memory is asked for, never touched, and so never there.
            wide = torch.empty(stored.shape, dtype=self._dtype)
            wide[self._ids] = stored[self._ids].to(self._dtype)
            return wide
        key = (name, stored.shape)
        if key not in self._wide:
            with torch.inference_mode(False):  # what is made in that mode could not be a parameter's memory again
                self._wide[key] = torch.empty(stored.shape, dtype=self._dtype)
        return self._wide[key].copy_(stored)

    def _decode(self, decoder: nn.Linear, x: Tensor) -> Tensor:
        """Compute x W^T + b for some rows of the vocabulary's W at a time: [..., hidden] -> [..., vocab]."""
        stored = self._stored(_DECODER)
        logits = x.new_empty(*x.shape[:-1], len(stored))
        rows, flat = x.reshape(-1, x.shape[-1]), logits.view(-1, len(stored))
        wide = torch.empty(min(_ROWS_AT_ONCE, len(stored)), stored.shape[1], dtype=self._dtype)
        for first in range(0, len(stored), _ROWS_AT_ONCE):
            piece = stored[first : first + _ROWS_AT_ONCE]
            some = slice(first, first + len(piece))
            torch.addmm(decoder.bias[some], rows, wide[: len(piece)].copy_(piece).T, out=flat[:, some])
        return logits

    def _stored(self, name: str) -> Tensor:
        """Return a parameter as the files have it, which are opened anew for every block: pages do not pile up."""
        untied, tied = (to_file(known, self._model_type) for known in (name, self._aliases.get(name, name)))
        stored = untied if untied in self._files else tied
        if stored not in self._files:
            raise ValueError(f"its files have no '{stored}'")
        path = self._files[stored]
        if path not in self._open:
            self._open[path] = safe_open(path, framework="pt")
        tensor: Tensor = self._open[path].get_tensor(stored)
        return tensor


def _index(folder: Path) -> dict[str, Path]:
    """Return which file of the folder holds which tensor, among those that the model is loaded from."""
    where: dict[str, Path] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            where |= dict.fromkeys(file.keys(), path)
    return where
