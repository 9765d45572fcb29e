"""The weights of a checkpoint: its `model`, or the moving average of it that `--store-ema` keeps beside it."""

from __future__ import annotations

from collections.abc import Mapping

from prenorm.checkpoint import Checkpoint, LazyTensor
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UnreadableCheckpoint, UsageProblem
from prenorm.options.spoken import spoken
from prenorm.rules.derived import JoinedTensor
from prenorm.source.foreign_tensors import refuse_other_models


def model_tensors(checkpoint: Checkpoint, weights: str = "model") -> dict[str, SourceTensor]:
    """Return the tensors of the checkpoint's model under the checkpoint's own names.

    Args:
        checkpoint: the opened file.
        weights: `model`, or `ema` for the average that fairseq keeps in `extra_state` under `--store-ema`.

    Returns:
        The tensors by name.

    Raises:
        UsageProblem: if there is no such average.
        UnreadableCheckpoint: if there is no such dictionary of tensors.
    """
    model = _averaged(checkpoint) if weights == "ema" else checkpoint.content.get("model")
    if not isinstance(model, dict):
        raise _no_model(checkpoint)
    flat = _flat(model)
    tensors: dict[str, SourceTensor]
    tensors = {key: value for key, value in flat.items() if isinstance(value, LazyTensor | JoinedTensor)}
    others = [f"'{key[:80]}'" for key in flat if key not in tensors]
    if others or not tensors:
        raise UnreadableCheckpoint(
            "entries of 'model' are no plain tensors" if others else "'model' is empty",
            subject=checkpoint.file.name,
            problems=others[:20],
        )
    return tensors


def _flat(model: Mapping[object, object]) -> dict[str, object]:
    """Return the entries; data2vec keeps its teacher's weights as a dictionary of their own among them, `encoder._ema`."""
    flat: dict[str, object] = {}
    for key, value in model.items():
        if isinstance(value, dict) and str(key).endswith("_ema"):
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            flat[str(key)] = value
    return flat


def _averaged(checkpoint: Checkpoint) -> object:
    extra = checkpoint.content.get("extra_state")
    average = extra.get("ema") if isinstance(extra, dict) else None
    if not isinstance(average, dict) or not average:
        raise UsageProblem(
            "the checkpoint holds no moving average of its weights (extra_state has no 'ema')",
            subject=checkpoint.file.name,
            advice=f"Leave {spoken('weights', 'ema')} out; only runs with --store-ema have one",
        )
    return average


def _no_model(checkpoint: Checkpoint) -> UnreadableCheckpoint:
    content = checkpoint.content
    held = ", ".join(sorted(content)[:6]) or "nothing"
    if content and all(isinstance(value, LazyTensor) for value in content.values()):
        refuse_other_models({str(key): str(key) for key in content})
        held = "a bare state dict"
    elif isinstance(content.get("state_dict"), dict):
        return UnreadableCheckpoint(
            "its tensors are in 'state_dict', where PyTorch Lightning saves them; fairseq saves them in 'model', with the "
            "training's arguments beside it",
            subject=checkpoint.file.name,
            advice="Give the checkpoint that fairseq saved, or save {'model': the tensors by fairseq's names, 'args': the "
            "training's arguments} with torch.save",
        )
    return UnreadableCheckpoint(
        f"it has no dictionary 'model', so it is no fairseq training checkpoint (it holds {held})",
        subject=checkpoint.file.name,
        advice="Give the checkpoint_best.pt or checkpoint_last.pt that fairseq saved",
    )
