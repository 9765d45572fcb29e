"""The folder's model as ONNX, by torch's own exporter, run by onnxruntime on texts of another number and length."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm.fitness.finding import Finding, Unfit, need
from prenorm.fitness.subject import Subject, library, outputs

# A runtime sums in another order than torch, and may be this many times as far from float64 as torch's float32 is.
_TIMES = 10
# Tokens this far below a row's best have a probability of exactly 0; converted vocabularies have rows of -1e4.
_HOPELESS = 1000.0


def check_onnx(subject: Subject) -> Finding:
    """Exported with free sizes, run in float32, and compared with float64; torch's own float32 error is the measure."""
    need("onnx", "onnxscript", "onnxruntime")
    path = subject.scratch / "model.onnx"
    _export(subject, str(path))
    session = library("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = subject.batch(length=11, rows=3)
    wanted = {item.name for item in session.get_inputs()}
    given = {name: item.numpy() for name, item in batch.items() if name in wanted}
    found = torch.from_numpy(session.run(None, given)[0])
    single = outputs(subject.model, batch)
    exact = outputs(subject.load().double(), batch)
    if found.shape != exact.shape:
        raise Unfit([f"outputs of the shape {tuple(found.shape)} for {tuple(exact.shape)}"])
    counted = _counted(exact, batch["attention_mask"])
    noise, scale = _difference(single, exact, counted), float(exact[counted].abs().max())
    tolerance = _TIMES * max(noise, torch.finfo(torch.float32).eps * scale)
    difference = _difference(found, exact, counted)
    metrics = {"max_abs_diff": difference, "tolerance": tolerance, "torch_float32": noise}
    if not difference <= tolerance:
        raise Unfit([f"logits are {difference:.1e} from float64, where torch's float32 is {noise:.1e}"], metrics)
    return Finding(f"onnxruntime {difference:.1e} from float64, torch's float32 {noise:.1e}", metrics)


def _export(subject: Subject, path: str) -> None:
    """Writes the model with all sizes of its inputs free."""
    batch = subject.batch()
    free = torch.export.Dim.DYNAMIC
    shapes = {name: dict.fromkeys(range(item.dim()), free) for name, item in batch.items()}
    torch.onnx.export(
        subject.model,
        (),
        path,
        kwargs=batch,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=list(batch),
        verbose=False,
    )


def _counted(exact: Tensor, mask: Tensor) -> Tensor:
    """What is compared: real tokens, and of their logits those that have a probability. For scores per text, all."""
    counted = exact > exact.amax(-1, keepdim=True) - _HOPELESS
    if exact.shape[:-1] == mask.shape:
        counted &= mask.bool()[..., None]
    return counted


def _difference(found: Tensor, exact: Tensor, counted: Tensor) -> float:
    return float((found.double() - exact)[counted].abs().max())
