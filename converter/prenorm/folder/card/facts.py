"""What the card's tables say: the checkpoint's file, the model in it, and how it was trained.

Values are text, which the template escapes, or `Markup` where they are Markdown already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from prenorm.folder.card.names import PublicNames
from prenorm.mapping.plan import ConversionPlan
from prenorm.options import TaskKind
from prenorm.reports.markdown_text import code
from prenorm.reports.text import count
from prenorm.source.description import SourceDescription
from prenorm.source.training import UNKNOWN, trained_kind

Rows = list[tuple[str, str]]
# The metrics by which fairseq chooses a run's best checkpoint: what they are, and the unit behind the number.
_METRICS = {
    "loss": ("loss", ""), "nll_loss": ("loss", ""), "ppl": ("perplexity", ""), "accuracy": ("accuracy", " %"),
    "acc_and_f1": ("mean of accuracy and F1", ""), "f1": ("F1", ""), "mcc": ("Matthews correlation", ""),
    "pearson": ("Pearson correlation", ""), "spearman": ("Spearman correlation", ""),
}  # fmt: skip
_MOST_BITS = 64  # of a loss whose perplexity is worth telling
_PURPOSES = {
    TaskKind.MASKED_LM: "masked language modelling",
    TaskKind.SEQUENCE_CLASSIFICATION: "sequence classification",
    TaskKind.MULTIPLE_CHOICE: "multiple choice",
    TaskKind.ENCODER: "the encoder alone",
}


def source_rows(plan: ConversionPlan, source: Mapping[str, object], names: PublicNames) -> Rows:
    """List the file and the model in it.

    Args:
        plan: what was converted.
        source: what the report says of the checkpoint.
        names: which names of the checkpoint's may be told.

    Returns:
        Name and value of each property.
    """
    d = plan.description
    head = f", head {code(names.head(plan.task.head.name))}" if plan.task.head else ""
    kept = "" if d.layers_kept is None else f" (those numbered {', '.join(map(str, d.layers_kept))} in the file)"
    return [
        *_files(source),
        ("Written by", d.producer),
        ("Layout of its keys", d.layout),
        ("Weights", "moving average (EMA)" if d.weights == "ema" else "as trained"),
        ("Parameters", f"{plan.parameters:,}"),
        ("Converted for", Markup(_PURPOSES[plan.task.kind] + head)),
        ("Layers", f"{d.layers}{kept}"),
        ("Sizes", f"width {d.hidden_size:,}, {d.attention_heads} attention heads, feed-forward {d.ffn_size:,}"),
        ("Vocabulary", _vocabulary(plan)),
        ("Longest input", f"{d.longest_input} tokens"),
        ("Stored type", d.dtype),
    ]


def _parts(facts: Mapping[str, object]) -> list[Mapping[str, Any]]:
    """Return the checkpoint's files."""
    parts = facts.get("parts", [{**facts, "name": facts["file"]}])
    assert isinstance(parts, list)
    return parts


def _files(facts: Mapping[str, object]) -> Rows:
    return [("File", Markup(f"{code(part['name'])}, {part['bytes']:,} bytes")) for part in _parts(facts)]


def digests(facts: Mapping[str, object]) -> list[str]:
    """Write the checksums of the checkpoint's files, which are too long for a table.

    Args:
        facts: what the report says of the checkpoint.

    Returns:
        Markdown, for each file: its SHA-256, or how much of it was read and what is known of that.
    """
    return [Markup(_digest(part)) for part in _parts(facts)]


def _digest(part: Mapping[str, Any]) -> str:
    name = code(part["name"])
    if "sha256" in part:
        return f"SHA-256 of {name}: {code(part['sha256'])}"
    seen = part["seen"]
    return (
        f"Of {name} {seen['bytes']:,} of {part['bytes']:,} bytes were read from the Hub: what names its tensors, and the "
        f"{seen['tensor_bytes']:,} bytes of the weights, whose SHA-256 is {code(seen['tensor_sha256'])}. The Hub announces "
        f"{code(part['announced_sha256'])} as the SHA-256 of the whole file; that was not checked."
    )


def parameters(amount: int) -> str:
    """Write how large a model is.

    Args:
        amount: its parameters.

    Returns:
        Such as '124.6 million parameters'.
    """
    for unit, size in (("billion", 10**9), ("million", 10**6)):
        if amount >= size:
            return f"{amount / size:.4g} {unit} parameters"
    return f"{amount:,} parameters"


def validation(description: SourceDescription) -> tuple[str, str] | None:
    """Write how the checkpoint did in validation, as fairseq recorded it.

    Args:
        description: the model.

    Returns:
        The metric's name and its value with what that means; None if it is not recorded.
    """
    history = description.history
    if history.metric not in _METRICS or history.validation is None:
        return None
    name, unit = _METRICS[history.metric]
    notes = list(_meaning(description, history.validation)) if name == "loss" else []
    if history.best not in (None, history.validation):
        notes.append(f"the run's best until then was {_number(history.best)}{unit}")
    if description.weights == "ema":
        notes.append("of the weights as trained, not of their average")
    if description.layers_kept is not None:
        notes.append("of the model with all its layers")
    return f"Validation {name}", f"{_number(history.validation)}{unit}" + (f" ({'; '.join(notes)})" if notes else "")


def _meaning(description: SourceDescription, loss: float) -> Iterator[str]:
    """Yield what a recorded loss is: fairseq's criterions that train a RoBERTa divide theirs by ln 2 (`reduce_metrics`)."""
    if trained_kind(UNKNOWN, description.criterion) is None:
        return
    if description.regression:
        yield "squared error divided by ln 2, as fairseq logs it"
        return
    yield "to base 2, as fairseq logs it"
    if description.criterion == "masked_lm" and 0 <= loss <= _MOST_BITS:
        yield f"perplexity {2.0**loss:.4g}"


def _vocabulary(plan: ConversionPlan) -> str:
    text = f"{plan.description.vocab_size:,} rows"
    if plan.extra_rows:
        text += (
            f", and {plan.extra_rows:,} more that the tokenizer needs: tokens the training dictionary lacks; they read as "
            "`<unk>`, are never predicted and take no probability"
        )
    return Markup(text)


def training_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """List what the checkpoint records of its training.

    Args:
        facts: as `prenorm.source.settings.training_facts` returns them: numbers, and words that are known.

    Yields:
        Name and value of each setting that is recorded.
    """
    known = {name: _number(value) for name, value in facts.items()}
    if "task" in facts or "arch" in facts:
        words = [f"{word} `{facts[key]}`" for key, word in (("task", "task"), ("arch", "architecture")) if key in facts]
        yield "Trained as", Markup(", ".join(words))
    if "mask_prob" in facts:
        yield "Masking rate", "".join(_masking(facts))
    if "tokens_per_sample" in facts:
        yield "Tokens per sample", known["tokens_per_sample"]
    if "num_updates" in facts or "max_update" in facts:
        done, planned = known.get("num_updates"), known.get("max_update")
        of = f" of {planned} planned" if planned else ""
        yield "Updates", f"{done}{of}" if done else f"{planned} planned"
    yield from _batch(facts)
    if "lr" in facts:
        words = [f"{known['lr']}"]
        words += [f"schedule `{facts['lr_scheduler']}`"] if "lr_scheduler" in facts else []
        words += [f"{known['warmup_updates']} updates of warm-up"] if "warmup_updates" in facts else []
        yield "Learning rate", Markup(", ".join(words))
    if "optimizer" in facts:
        named = (("adam_betas", "betas"), ("adam_eps", "epsilon"), ("weight_decay", "weight decay"))
        words = [f"`{facts['optimizer']}`", *(f"{word} {known[key]}" for key, word in named if key in facts)]
        clip = facts.get("clip_norm")
        words += [f"gradient norm clipped at {known['clip_norm']}"] if clip else []
        yield "Optimizer", Markup(", ".join(words))
    if facts.get("fp16") or facts.get("bf16"):
        yield "Precision", "bfloat16 training" if facts.get("bf16") else "float16 training"
    if "seed" in facts:
        yield "Seed", str(facts["seed"])


def _masking(facts: Mapping[str, object]) -> Iterator[str]:
    yield _percent(facts["mask_prob"])
    named = (("leave_unmasked_prob", "left as they are"), ("random_token_prob", "replaced at random"))
    parts = [f"{_percent(facts[key])} {word}" for key, word in named if key in facts]
    if parts:
        yield f" of tokens; of these {', '.join(parts)}"
    if facts.get("mask_whole_words"):
        yield "; whole words"


def _batch(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the batch of a device, and of an update where every factor of it is recorded and constant."""
    limits = [
        (facts[key], word) for key, word in (("batch_size", "sequences"), ("max_tokens", "tokens")) if key in facts
    ]
    if not limits:
        return
    most = "at most " if "max_tokens" in facts else ""
    yield "Batch", f"{most}{' and '.join(f'{_number(size)} {word}' for size, word in limits)} per device and step"
    steps, devices, parts = (
        facts.get("update_freq"),
        facts.get("distributed_world_size"),
        facts.get("model_parallel_size", 1),
    )
    if not isinstance(steps, int) or not isinstance(devices, int) or not isinstance(parts, int) or devices % parts:
        return
    replicas = devices // parts
    sizes = [(size * steps * replicas, word) for size, word in limits if isinstance(size, int)]
    per_update = " and ".join(f"{_number(size)} {word}" for size, word in sizes)
    yield "Batch of an update", f"{most}{per_update} ({count(steps, 'step')} × {count(replicas, 'device')})"


def _percent(value: object) -> str:
    return f"{100 * value:.4g} %" if isinstance(value, int | float) else ""


def _number(value: object) -> str:
    if isinstance(value, list):
        return f"{', '.join(map(_number, value[:-1]))} and {_number(value[-1])}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
