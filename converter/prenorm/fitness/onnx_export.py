"""The folder's model as ONNX, by torch's own exporter, run by onnxruntime on texts of another number and length."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm.fitness.candidate import Candidate, library, outputs
from prenorm.fitness.finding import Finding, Unfit, need

# A runtime sums in another order than torch, and may be this many times as far from float64 as torch's float32 is.
_TIMES = 10
# Tokens this far below a row's best have a probability of exactly 0; converted vocabularies have rows of -1e4.
_HOPELESS = 1000.0


def check_onnx(candidate: Candidate) -> Finding:
    """Export with free sizes, run in float32, and compare with float64; torch's own float32 error is the measure.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if onnx, onnxscript or onnxruntime is not installed.
    """
    need("onnx", "onnxscript", "onnxruntime")
    path = candidate.scratch / "model.onnx"
    _export(candidate, str(path))
    session = library("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = candidate.batch(length=11, rows=3)
    wanted = {item.name for item in session.get_inputs()}
    inputs = {name: item.numpy() for name, item in batch.items() if name in wanted}
    computed = torch.from_numpy(session.run(None, inputs)[0])
    single = outputs(candidate.model, batch)
    exact = outputs(candidate.load().double(), batch)
    if computed.shape != exact.shape:
        raise Unfit([f"outputs of the shape {tuple(computed.shape)} for {tuple(exact.shape)}"])
    counted = _counted(exact, batch["attention_mask"])
    noise, scale = _difference(single, exact, counted), float(exact[counted].abs().max())
    tolerance = _TIMES * max(noise, torch.finfo(torch.float32).eps * scale)
    difference = _difference(computed, exact, counted)
    metrics = {"max_abs_diff": difference, "tolerance": tolerance, "torch_float32": noise}
    if not difference <= tolerance:
        raise Unfit([f"logits are {difference:.1e} from float64, where torch's float32 is {noise:.1e}"], metrics)
    return Finding(f"onnxruntime {difference:.1e} from float64, torch's float32 {noise:.1e}", metrics)


def _export(candidate: Candidate, path: str) -> None:
    """Write the model with all sizes of its inputs free."""
    batch = candidate.batch()
    free = torch.export.Dim.DYNAMIC
    shapes = {name: dict.fromkeys(range(item.dim()), free) for name, item in batch.items()}
    torch.onnx.export(
        candidate.model,
        (),
        path,
        kwargs=batch,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=list(batch),
        verbose=False,
    )


def _counted(exact: Tensor, mask: Tensor) -> Tensor:
    """Mark what is compared: of real tokens the logits that have a probability; of scores per text, all."""
    counted = exact > exact.amax(-1, keepdim=True) - _HOPELESS
    if exact.shape[:-1] == mask.shape:
        counted &= mask.bool()[..., None]
    return counted


def _difference(computed: Tensor, exact: Tensor, counted: Tensor) -> float:
    return float((computed.double() - exact)[counted].abs().max())
