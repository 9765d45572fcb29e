"""Real fairseq as the reference of a proof: what is asked of a reference, answered by fairseq's own modules.

fairseq runs in a process of its own, under an interpreter that the user names (`process.py`), on the checkpoint's
tensors and arguments (`model.py`). It computes a batch once; the answers come stage by stage while it computes.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UsageProblem
from prenorm.proof.numbers.differences import RELATIVE_TOLERANCE
from prenorm.proof.protocols import Stage
from prenorm.proof.references.builtin_names import encoder_prefix
from prenorm.proof.references.fairseq.exchange import read_stage, write_tensors
from prenorm.proof.references.fairseq.model import FairseqModel
from prenorm.proof.references.fairseq.process import FairseqRefused, FairseqWorker
from prenorm.proof.references.float32 import UNLUCKY
from prenorm.reports.details import NoiseFloor

_LAYER_PARTS = frozenset({"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "out"})


@dataclass
class Noise:
    """How far fairseq is from itself at one place, over everything that was run; pads left out.

    `float32`: the largest difference between its float32 and its float64. `rounding`: the largest difference between its
    float64 as it is, with a cast to float32 within its GELU, and with that cast lifted. `scale`: the largest absolute value.

    An exact computation of the same function differs from fairseq's float64 by `rounding`, and from its float32 by `float32`.
    """

    float32: float = 0.0
    rounding: float = 0.0
    scale: float = 0.0

    def add(self, measured: Mapping[str, float]) -> None:
        """Take in what was measured on one more batch.

        Args:
            measured: the worker's answer: `float32`, `rounding` and `scale`, where they were measured.
        """
        self.float32 = max(self.float32, float(measured.get("float32", 0.0)))
        self.rounding = max(self.rounding, float(measured.get("rounding", 0.0)))
        self.scale = max(self.scale, float(measured.get("scale", 0.0)))


class FairseqReference:
    """fairseq's forward of one checkpoint.

    `used` has the source tensors that the outputs depend on, by the checkpoint's names; `measured` the noise by stage and
    part (where `dtype` is float64); `facts` what the report can say: versions, the classes that computed, which names
    were loaded, and fairseq's warnings.
    """

    relative_tolerance = RELATIVE_TOLERANCE

    def __init__(
        self,
        worker: FairseqWorker,
        model: FairseqModel,
        *,
        logits: bool = True,
        heads: Sequence[str] = (),
        dtype: str = "float64",
        judges: str = "float64",
    ) -> None:
        """Have fairseq build the model and load the tensors, strictly.

        Where it cannot load them under the checkpoint's own names (DeepSpeed's kernels, or what another version of fairseq
        wrote) it is given canonical names, and `facts` says so.

        Args:
            worker: the process that has fairseq.
            model: what it is given.
            logits: whether the LM head is asked for.
            heads: the classification heads that are asked for, by name.
            dtype: float64, or float32 for a model that does not fit into memory otherwise; then there is no noise.
            judges: what the folder computes in, float64 or float32.

        Raises:
            FairseqRefused: if this fairseq cannot build or load the model.
            ValueError: if there is no LM head to ask for.
            UsageProblem: if the process fails, or the tensors cannot be handed over.
        """
        if logits and not model.lm_head:
            raise ValueError("the checkpoint has no LM head to compute logits with")
        self.model = model
        self._judges = judges
        self.measured: dict[tuple[str, str], Noise] = {}
        self._worker = worker
        self._request: dict[str, object] = {
            "do": "load", "arguments": dict(model.arguments), "vocab_size": model.vocab_size, "pad": model.pad,
            "spectral_heads": dict(model.spectral_heads), "lm_head": model.lm_head, "lm_activation": model.lm_activation,
            "teacher": model.teacher, "logits": logits, "heads": list(heads), "dtype": dtype,
        }  # fmt: skip
        self._names = ["embeddings", *(f"layers.{n}" for n in range(int(str(model.arguments["encoder_layers"]))))]
        self._names += ["layer_norm", *(["logits"] if logits else []), *(f"head.{name}" for name in heads)]
        self._input_ids = torch.empty(0, 0, dtype=torch.long)
        self._left: Iterator[Stage] = iter(())
        self._found: dict[str, dict[str, Tensor]] = {}
        self.facts: dict[str, object] = {**worker.environment, "compute_dtype": dtype, "names": "the checkpoint's"}
        self.used = self._load()

    @property
    def name(self) -> str:
        """The versions that computed."""
        return "fairseq {fairseq} (torch {torch}, Python {python})".format(**self.facts)

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """Compute the encoder on one batch, stage by stage.

        Query, key and value are what fairseq's own projections make of the attention's input: inside, it hands their weights
        to torch's fused function.

        Args:
            input_ids: [batch, length], int64.

        Yields:
            The stage's name, and the values of its parts, each [batch, length, width] in float64.

        Raises:
            UsageProblem: if the process fails.
        """
        self._input_ids, self._found = input_ids, {}
        self._left = self._run(input_ids)
        for name, parts in self._left:
            if not self._keep(name, parts):
                yield name, parts

    def logits(self, features: Tensor) -> Tensor:
        """Return fairseq's logits of the batch that `stages` was last asked about.

        Args:
            features: its final stage at the tokens that are no pads, [tokens, hidden].

        Returns:
            [tokens, vocab], float64.
        """
        self._check(features, self._features()[self._input_ids != self.model.pad])
        return self._found["logits"]["out"]

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """Return fairseq's logits of the batch that `stages` was last asked about.

        Args:
            features: its final stage at the tokens that are no pads, [tokens, hidden].

        Yields:
            All of them, [tokens, vocab], float64.
        """
        yield self.logits(features)

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """Compute what a copy of a row of the vocabulary gives, with another bias.

        Args:
            logits: the logits' first columns, [tokens, more than row].
            row: which row is copied.
            bias: the copy's.

        Returns:
            [tokens, 1], float64.
        """
        own_bias = self.model.stored[encoder_prefix(self.model.stored)[1] + "bias"].read()[row].double()
        return logits[:, row : row + 1] - own_bias + bias

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """Return what fairseq's classification head computes on the batch that `stages` was last asked about.

        Args:
            features: the first tokens' of its final stage, [rows, hidden].
            head: its name in the checkpoint.

        Returns:
            `dense` [rows, inner] before its activation, and `out` [rows, outputs], float64.
        """
        self._check(features, self._features()[:, 0])
        return self._found[f"head.{head}"]

    def noise(self, stage: str, part: str) -> float:
        """Return how far an exact computation may be from fairseq's at a place.

        fairseq casts to float32 within its GELU, even in float64: how far that alone takes it was measured. Of a folder in
        float32 it is how far fairseq's own float32 is from its float64.

        Args:
            stage: a stage, `logits` or `head.NAME`.
            part: one of its parts.

        Returns:
            The largest absolute difference; 0 where nothing was measured.
        """
        noise = self.measured.get((stage, part), Noise())
        return UNLUCKY * noise.float32 if self._judges == "float32" else noise.rounding

    def floor(self) -> NoiseFloor:
        """Return for the report how far fairseq's float32 is from its float64.

        Returns:
            The largest difference by module and of the logits.
        """
        stages = {f"{stage}.{part}": noise.float32 for (stage, part), noise in self.measured.items() if part == "out"}
        logits = self.measured.get(("logits", "out"))
        return NoiseFloor(stages, None if logits is None else logits.float32)

    def _load(self) -> set[str]:
        """Load under the checkpoint's names, or under canonical ones if fairseq does not know those; return what is used."""
        try:
            return set(self._load_as(self.model.stored))
        except FairseqRefused as error:
            if error.kind not in ("tensors", "fairseq"):
                raise
            # The canonical tensors are the layers that are kept; there is nothing left to choose.
            kept = {name: value for name, value in self.model.arguments.items() if name != "encoder_layers_to_keep"}
            self._request.update(arguments=kept, teacher=False)
            self.facts.update(names="canonical", canonical_because=[error.cause, *error.problems])
            return {source for name in self._load_as(self.model.canonical) for source in self.model.sources[name]}

    def _load_as(self, tensors: Mapping[str, SourceTensor]) -> list[str]:
        """Load under these names; return those that matter to what is asked."""
        self._worker.loaded = self
        path = self._worker.folder / "tensors.safetensors"
        try:
            write_tensors(path, tensors)
            loaded = self._worker.call({**self._request, "file": str(path)})
            self.facts.update(classes=loaded["classes"], warnings=loaded["warnings"])
            return [str(name) for name in loaded["used"]]
        finally:
            # The worker has mapped it, or needs it no more.
            with contextlib.suppress(OSError):
                path.unlink()

    def _run(self, input_ids: Tensor) -> Iterator[Stage]:
        """Run one batch, and yield its stages, each read from its file and the file removed."""
        if self._worker.loaded is not self:
            raise ValueError("the worker holds another model by now")
        self._worker.finish()
        folder = self._worker.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        answers = self._worker.ask({"do": "run", "input_ids": input_ids.tolist(), "folder": str(folder)})
        for number, name in enumerate(self._names):
            answer = next(answers)
            path = folder / f"{number}.safetensors"
            parts = read_stage(path, self._shapes(name)) if answer.get("stage") == name else None
            if parts is None:
                raise UsageProblem(
                    f"fairseq's answer for {name} is none that can be compared", subject=self._worker.python
                )
            for part, measurement in answer["noise"].items():
                self.measured.setdefault((name, part), Noise()).add(measurement)
            yield name, parts
        next(answers, None)
        shutil.rmtree(folder, ignore_errors=True)

    def _shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        """Return the parts that a stage must have, and the first dimensions of each."""
        if name == "logits":
            return {"out": (int((self._input_ids != self.model.pad).sum()), self.model.vocab_size)}
        if name.startswith("head."):
            return dict.fromkeys(("dense", "out"), (len(self._input_ids),))
        parts = _LAYER_PARTS if name.startswith("layers.") else {"out"}
        return dict.fromkeys(parts, tuple(self._input_ids.shape))

    def _keep(self, name: str, parts: dict[str, Tensor]) -> bool:
        """Keep what is asked for later; return whether it is no stage of the encoder."""
        behind = name == "logits" or name.startswith("head.")
        if behind or name == "layer_norm":
            self._found[name] = parts
        return behind

    def _features(self) -> Tensor:
        """Return the final stage; what was not waited for is waited for now."""
        for name, parts in self._left:
            self._keep(name, parts)
        return self._found["layer_norm"]["out"]

    def _check(self, features: Tensor, computed: Tensor) -> None:
        """Raise `ValueError` unless the features are those of the last batch."""
        if not torch.equal(features.nan_to_num(), computed.nan_to_num()):
            raise ValueError("fairseq can be asked about the features of its last batch only")
