"""The bundled model on a folder's files, one block's weights in memory at a time.

The model is loaded from the folder as any user loads it, and its own forward runs. Only, each block's parameters are read
again from the files, widened to float64, when the block is entered, and given back when it is left: a roberta-large is
proven in float64 without ever being held in float64. The vocabulary's matrix is as large as several blocks, so that
the map it stands for is computed some rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

import prenorm_model
from prenorm.options import TaskKind
from prenorm.proof.references.builtin import Stage
from prenorm_model.naming import to_file

# Where each part of a reference stage is computed in the model: reference part -> submodule of a layer.
_LAYER_PARTS = {
    "q_proj": "attention.self.query",
    "k_proj": "attention.self.key",
    "v_proj": "attention.self.value",
    "out_proj": "attention.output.dense",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
}


# The bundled class for each task; each computes both architectures.
BUNDLED_CLASSES = {
    TaskKind.MASKED_LM: "RobertaPreLayerNormForMaskedLM",
    TaskKind.SEQUENCE_CLASSIFICATION: "RobertaPreLayerNormForSequenceClassification",
    TaskKind.MULTIPLE_CHOICE: "RobertaPreLayerNormForMultipleChoice",
    TaskKind.ENCODER: "RobertaPreLayerNormModel",
}
# The heads' blocks, and the stage whose output is compared: a classification head's first map.
_HEADS: dict[TaskKind, tuple[tuple[str, str | None], ...]] = {
    TaskKind.MASKED_LM: (("lm_head", None),),
    TaskKind.SEQUENCE_CLASSIFICATION: (("classifier.dense", "head"), ("classifier.out_proj", None)),
    TaskKind.MULTIPLE_CHOICE: (("roberta_prelayernorm.pooler.dense", "head"), ("classifier", None)),
    TaskKind.ENCODER: (),
}
_WORDS, _DECODER = "embeddings.word_embeddings.weight", "lm_head.decoder.weight"
_ROWS_AT_ONCE = 8192


class BundledRuntime:
    """The folder's model, in evaluation mode, computing in float64 unless told otherwise."""

    name = "bundled"

    def __init__(self, folder: Path, task: TaskKind, dtype: torch.dtype = torch.float64) -> None:
        """Loads the folder strictly, as the class that the task wants; it computes in `dtype`.

        Raises:
            ValueError: if its files do not fit the model.
        """
        cls = getattr(prenorm_model, BUNDLED_CLASSES[task])
        self._task, self._dtype = task, dtype
        options = {"add_pooling_layer": False} if task is TaskKind.ENCODER else {}
        self.model: nn.Module = cls.from_pretrained(folder, **options)
        self._files = _index(folder)
        self._model_type: str = self.model.config.model_type
        self._aliases: dict[str, str] = self.model.tied_names(self.model.config)
        self._on_stage: Callable[[Stage], None] = lambda stage: None
        self._parts: dict[str, list[Tensor]] = {}
        self._ids = torch.empty(0, dtype=torch.long)
        self._wide: dict[tuple[str, torch.Size], Tensor] = {}
        self._open: dict[Path, Any] = {}
        self._hook()

    def run(self, input_ids: Tensor, attention_mask: Tensor, on_stage: Callable[[Stage], None]) -> Tensor:
        """The model's own forward on one batch; `on_stage` gets every stage as it is computed.

        Returns:
            In float64: logits [batch, length, vocab] of the masked LM, [batch, outputs] of a classification head; the
            features [batch, length, hidden] where there is no head. For multiple choice the rows are one question's choices.
        """
        self._on_stage = on_stage
        self._ids = torch.unique(input_ids)
        if self._task is TaskKind.MULTIPLE_CHOICE:
            input_ids, attention_mask = input_ids[None], attention_mask[None]
        with torch.inference_mode():
            output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        found: Tensor = output.last_hidden_state if self._task is TaskKind.ENCODER else output.logits
        return found.T if self._task is TaskKind.MULTIPLE_CHOICE else found

    def _hook(self) -> None:
        base = "" if self._task is TaskKind.ENCODER else "roberta_prelayernorm."
        self._block(f"{base}embeddings", "embeddings")
        encoder: Any = self.model.get_submodule(f"{base}encoder")
        for n, layer in enumerate(encoder.layer):
            self._block(f"{base}encoder.layer.{n}", f"layers.{n}")
            for part, path in _LAYER_PARTS.items():
                layer.get_submodule(path).register_forward_hook(self._keep(part))
        self._block(f"{base}LayerNorm", "layer_norm")
        for path, stage in _HEADS[self._task]:
            self._block(path, stage)
        if self._task is TaskKind.MASKED_LM:
            decoder: Any = self.model.get_submodule("lm_head.decoder")
            decoder.forward = partial(self._decode, decoder)

    def _keep(self, part: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._parts.setdefault(part, []).append(output)

        return hook

    def _block(self, path: str, stage: str | None) -> None:
        """Lets the block at `path` find its weights in float64 when it runs, and reports its output as `stage`."""
        block = self.model.get_submodule(path)
        mapped: list[tuple[nn.Module, str, nn.Parameter]] = []

        def enter(module: nn.Module, inputs: object) -> None:
            for name, parameter in list(block.named_parameters(remove_duplicate=False)):
                if f"{path}.{name}" == _DECODER:
                    continue
                owner_path, _, leaf = name.rpartition(".")
                owner = block.get_submodule(owner_path)
                mapped.append((owner, leaf, parameter))
                setattr(owner, leaf, nn.Parameter(self._read(path, name), requires_grad=False))

        def leave(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._open.clear()
            while mapped:
                owner, leaf, parameter = mapped.pop()
                setattr(owner, leaf, parameter)
            if stage is not None:
                parts, self._parts = self._parts, {}
                self._on_stage(
                    (stage, {**{name: _whole(found, output) for name, found in parts.items()}, "out": output})
                )

        block.register_forward_pre_hook(enter)
        block.register_forward_hook(leave)

    def _stored_name(self, name: str) -> str:
        """The name in the folder's files of the parameter that the model calls `name`."""

        return to_file(name, self._model_type)

    def _read(self, path: str, name: str) -> Tensor:
        """The parameter `name` of the block at `path`, in float64. What is read for a layer lies where the last one's did:
        to ask for new memory each time is half of the cost.
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
        """The map onto the vocabulary, x W^T + b, for some rows of W at a time: [..., hidden] -> [..., vocab]."""
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
        """A parameter as the folder's files have it. They are opened anew for every block, so that pages do not pile up."""
        own, tied = (self._stored_name(known) for known in (name, self._aliases.get(name, name)))
        stored = own if own in self._files else tied
        path = self._files[stored]
        if path not in self._open:
            self._open[path] = safe_open(path, framework="pt")
        tensor: Tensor = self._open[path].get_tensor(stored)
        return tensor


def _whole(pieces: list[Tensor], output: Tensor) -> Tensor:
    """A part's output for the whole batch; a large batch goes through the feed-forward block in pieces of tokens."""
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined.reshape(*output.shape[:-1], joined.shape[-1])


def _index(folder: Path) -> dict[str, Path]:
    """Which file of the folder holds which tensor."""
    where: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            where |= dict.fromkeys(file.keys(), path)
    return where
