"""What the tests of the fairseq reference share: the checkpoints, and both references on one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.paths import FIXTURES, ROOT
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.proof.references import builtin
from prenorm.proof.references.fairseq.model import FairseqModel, fairseq_model
from prenorm.proof.references.fairseq.process import FairseqWorker
from prenorm.proof.references.fairseq.reference import FairseqReference
from prenorm.proof.references.settings import settings_of
from prenorm.source.arguments import find_arguments

AT = "encoder.sentence_encoder."
CLASSIFIER = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"
DEEPSPEED = FIXTURES / "dinkytrain-deepspeed-fp16" / "checkpoint.pt"
WORKER = ROOT / "converter" / "prenorm" / "proof" / "references" / "fairseq" / "worker"
VARIANTS = FIXTURES / "variants"
IDS = torch.tensor([[0, 5, 17, 9, 230, 2], [0, 8, 2, 1, 1, 1]])
PARTS = {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "out"}


def understood(path: Path, **options: Any) -> Prepared:
    return prepare(open_checkpoint(path), SourceOptions(task="encoder", **options))


def told(prepared: Prepared) -> FairseqModel:
    arguments = find_arguments(prepared.checkpoint.content)
    return fairseq_model(prepared.description, arguments, prepared.canonical, prepared.tensors)


def _any_of(folder: Path) -> Path:
    """The checkpoint of a folder; of one in several files, any stands for all."""
    return min(folder.glob("checkpoint*.pt"))


# No pre-LayerNorm RoBERTa, or one that needs options.
_REFUSED = {
    "adaptive-input", "bias-kv", "fairseq-0.10.2-post-layernorm", "fairseq-0.10.2-postnorm", "fairseq-0.9.0-post-layernorm",
    "hugging-face-state-dict", "linformer", "model-alone", "no-arguments", "post-layernorm", "pruned-heads",
    "pruned-heads-unequal", "quant-noise-pq", "quant-noise-pq-prenorm", "quant-noise-scalar", "segment-embeddings",
    "translation", "wav2vec2",
}  # fmt: skip
_FOLDERS = sorted({path.parent for folder in (FIXTURES, VARIANTS) for path in folder.glob("*/checkpoint*.pt")})
# Of the training run's checkpoints no outputs were recorded.
CHECKPOINTS = [_any_of(folder) for folder in _FOLDERS if folder.name not in {*_REFUSED, "run"}]
REFUSED = [_any_of(folder) for folder in _FOLDERS if folder.name in _REFUSED]


def own_reference(prepared: Prepared) -> builtin.BuiltinReference:
    """The built-in reference of the same checkpoint."""
    return builtin.BuiltinReference(prepared.tensors, settings_of(prepared.description))


class Run:
    """Everything fairseq computes of a checkpoint on one batch, and everything that the built-in reference computes."""

    def __init__(self, worker: FairseqWorker, path: Path, ids: Tensor, **options: Any) -> None:
        self.prepared = understood(path)
        about = self.prepared.description
        self.heads = [head.name for head in about.heads]
        given: dict[str, Any] = {"logits": about.lm_head, "heads": self.heads, **options}
        self.reference = FairseqReference(worker, told(self.prepared), **given)
        self.real = ids != about.pad_id
        self.found = self._all(self.reference, ids, about.lm_head)
        self.own = self._all(own_reference(self.prepared), ids, about.lm_head)

    def _all(self, reference: Any, ids: Tensor, lm_head: bool) -> dict[str, dict[str, Tensor]]:
        stages = {name: {part: x[self.real] for part, x in parts.items()} for name, parts in reference.stages(ids)}
        whole = torch.zeros(*ids.shape, stages["layer_norm"]["out"].shape[-1], dtype=torch.float64)
        whole[self.real] = stages["layer_norm"]["out"]
        if lm_head:
            stages["logits"] = {"out": reference.logits(whole[self.real])}
        for name in self.heads:
            stages[f"head.{name}"] = reference.classify(whole[:, 0], name)
        return stages

    def apart(self, name: str, part: str) -> float:
        """How far fairseq and the built-in reference are apart."""
        return float((self.found[name][part] - self.own[name][part]).abs().max())

    def excess(self) -> float:
        """How much further they are apart, at worst, than fairseq's casts and float64's rounding explain."""
        return max(
            self.apart(name, part) - (noise := self.reference.measured[name, part]).rounding - 1e-13 * noise.scale
            for name, parts in self.found.items()
            for part in parts
        )
