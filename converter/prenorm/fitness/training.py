"""What people do next: fine-tune, save, load again. Targets are chosen so that the model is wrong about them at first."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from prenorm.fitness.candidate import LOCAL, Candidate, library, outputs
from prenorm.fitness.finding import Finding, Unfit, need, refuse
from prenorm.options import TaskKind

# AdamW's steps are about as long as this in every weight: small enough for any size of model.
_RATE = 2e-5
_STEPS = 3
_SEED = 0
# A bias that moves all that a softmax is taken over alike has no gradient but rounding: the attention's key bias over the
# keys, and the only output's over the choices.
_ROUNDING_ONLY = {TaskKind.MULTIPLE_CHOICE: ("key.bias", "classifier.bias")}
# An untied head adds its decoder's bias in transformers 5, and this one stands by unused; tied, the two are one.
_UNUSED = "lm_head.bias"
_ROUNDING = 1e-5  # beside each value, or beside 1 where that is larger: the same weights in the same float32
# An encoder has no loss of its own: it is trained under the head that people mostly put on it.
_TRAINED_AS = {TaskKind.ENCODER: "AutoModelForSequenceClassification"}


def fine_tuning(candidate: Candidate) -> Finding:
    """Train a few steps of AdamW on one batch: the loss is finite and falls, and every weight has a gradient.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    model, batch = _model(candidate), _labelled(candidate)
    before = _loss(model, batch)
    problems = _steps(model, batch, _STEPS, _ROUNDING_ONLY.get(candidate.kind, ("key.bias",)))
    after = _loss(model, batch)
    _raise(problems, before, after)
    return Finding(
        f"{_STEPS} steps, loss {before:.4f} to {after:.4f}, {len(list(model.parameters()))} weights with gradients"
    )


def trainer(candidate: Candidate) -> Finding:
    """Train the same steps with `transformers.Trainer`, as the tutorials do it.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if accelerate is not installed.
    """
    need("accelerate")
    model, batch = _model(candidate), _labelled(candidate)
    rows = [{name: item[number] for name, item in batch.items()} for number in range(len(batch["input_ids"]))]
    transformers = library("transformers")
    arguments = transformers.TrainingArguments(
        output_dir=str(candidate.scratch / "trainer"), max_steps=_STEPS, learning_rate=_RATE, lr_scheduler_type="constant",
        per_device_train_batch_size=len(rows), use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
        logging_strategy="no", seed=_SEED, dataloader_pin_memory=False,
    )  # fmt: skip
    before = _loss(model, batch)
    run = transformers.Trainer(model=model, args=arguments, train_dataset=rows)
    run.remove_callback(transformers.PrinterCallback)
    done = run.train()
    after = _loss(model.eval(), batch)
    _raise([] if math.isfinite(done.training_loss) else [f"the training loss is {done.training_loss}"], before, after)
    return Finding(f"{done.global_step} steps, loss {before:.4f} to {after:.4f}")


def save_and_reload(candidate: Candidate) -> Finding:
    """Save a trained model and load it again: it computes the same, and its head is tied, or is not, as before.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    model, batch = _model(candidate), _labelled(candidate)
    _steps(model, batch, 1)
    tied = _is_tied(model)
    wanted = outputs(model, _inputs(batch))
    place = candidate.scratch / "saved"
    model.save_pretrained(str(place))
    reloaded, info = type(model).from_pretrained(str(place), output_loading_info=True, **LOCAL)
    problems = [
        f"the saved folder has {kind.replace('_', ' ')}: {sorted(map(str, keys))[:3]}"
        for kind, keys in info.items()
        if keys
    ]
    apart = (outputs(reloaded.eval(), _inputs(batch)) - wanted).abs()
    difference = float(apart.max())
    if not bool((apart <= _ROUNDING * wanted.abs().clamp(min=1)).all()):
        problems.append(f"what is loaded again computes something else (by {difference:.1e})")
    stated = candidate.config.get("tie_word_embeddings", True)
    for when, is_tied in (("", tied), (" after saving and loading", _is_tied(reloaded))):
        if is_tied is not None and is_tied != stated:
            problems.append(
                f"the LM head is {'' if is_tied else 'not '}tied to the embedding{when}; config.json says {stated}"
            )
    refuse(problems)
    note = "" if tied is None else ", head still tied" if tied else ", head still its own"
    return Finding(f"the same outputs{note}")


def _model(candidate: Candidate) -> Any:
    torch.manual_seed(_SEED)
    auto_class = _TRAINED_AS.get(candidate.kind)
    return candidate.load(auto_class)


def _inputs(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: item for name, item in batch.items() if name != "labels"}


def _labelled(candidate: Candidate) -> dict[str, Tensor]:
    """Return a batch with labels that the model gets wrong: the least likely class, a median token, its own number plus 1."""
    batch = candidate.batch()
    model = _model(candidate)
    scores = outputs(model, batch)
    if not bool(torch.isfinite(scores).all()):
        raise Unfit(["the model's outputs are not all finite, so there is nothing to train"])
    problem = candidate.config.get("problem_type")
    if candidate.kind is TaskKind.MASKED_LM:
        labels = scores.median(-1).indices.masked_fill(batch["attention_mask"] == 0, -100)
    elif problem == "regression":
        labels = (scores + 1.0).squeeze(-1) if scores.shape[-1] == 1 else scores + 1.0
    elif problem == "multi_label_classification":
        labels = (scores < 0).float()
    else:
        labels = scores.argmin(-1)
    return {**batch, "labels": labels.clone()}


def _loss(model: nn.Module, batch: dict[str, Tensor]) -> float:
    with torch.no_grad():
        return float(model.eval()(**batch).loss)


def _steps(model: nn.Module, batch: dict[str, Tensor], count: int, rounding_only: tuple[str, ...] = ()) -> list[str]:
    """Train with dropout, and return which weights got no gradient in the first step. Leave the model in evaluation mode."""
    problems: list[str] = []
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    model.train()
    for step in range(count):
        model(**batch).loss.backward()
        if step == 0:
            problems = _gradient_problems(model, rounding_only)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return problems


def _gradient_problems(model: nn.Module, rounding_only: tuple[str, ...]) -> list[str]:
    without, broken = [], []
    spared = {_UNUSED} if "lm_head.decoder.bias" in dict(model.named_parameters()) else set()
    for name, weight in model.named_parameters():
        gradient = weight.grad
        if name in spared:
            continue
        if gradient is None or not (gradient.any() or name.endswith(rounding_only)):
            without.append(name)
        elif not torch.isfinite(gradient).all():
            broken.append(name)
    return [
        f"{len(names)} weights have {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for names, what in ((without, "no gradient"), (broken, "a gradient with NaN or infinity"))
        if names
    ]


def _raise(problems: list[str], before: float, after: float) -> None:
    if not (math.isfinite(before) and math.isfinite(after)):
        problems = [*problems, f"the loss is {before} before and {after} after training"]
    elif after >= before:
        problems = [
            *problems,
            f"the loss does not fall: {before:.6f} before, {after:.6f} after {_STEPS} steps on one batch",
        ]
    refuse(problems)


def _is_tied(model: nn.Module) -> bool | None:
    """Return whether the matrix of the LM head is the embedding; None without an LM head."""
    head = getattr(getattr(model, "lm_head", None), "decoder", None)
    if head is None:
        return None
    whole: Any = model
    embeddings = whole.get_input_embeddings()
    return bool(head.weight is embeddings.weight or head.weight.data_ptr() == embeddings.weight.data_ptr())
