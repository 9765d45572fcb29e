"""What the card says of the checkpoint: the file, the model in it, its labels, and how it was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prenorm.folder.card.names import PublicNames
from prenorm.options import TaskKind
from prenorm.reports.markdown_text import code
from prenorm.reports.model import Report

if TYPE_CHECKING:
    from prenorm.mapping.plan import ConversionPlan

_MOST_LABELS = 100
_TITLES = {
    TaskKind.MASKED_LM: "masked language model",
    TaskKind.SEQUENCE_CLASSIFICATION: "text classifier",
    TaskKind.MULTIPLE_CHOICE: "choice among texts",
    TaskKind.ENCODER: "encoder",
}
_PURPOSES = {
    TaskKind.MASKED_LM: "masked language modelling",
    TaskKind.SEQUENCE_CLASSIFICATION: "sequence classification",
    TaskKind.MULTIPLE_CHOICE: "multiple choice",
    TaskKind.ENCODER: "the encoder alone",
}


def title(plan: ConversionPlan) -> str:
    """The card's heading, where the user gives none."""
    what = "text regression" if plan.task.regression else _TITLES[plan.task.kind]
    return f"{plan.target.card.title}: {what}, converted from fairseq"


def labels(plan: ConversionPlan) -> list[str]:
    """The section of a classifier's labels."""
    task = plan.task
    if task.kind is not TaskKind.SEQUENCE_CLASSIFICATION:
        return []
    if task.regression:
        count = len(task.labels)
        outputs = "one number" if count == 1 else f"{count} numbers"
        return [
            "## Output",
            "",
            f"Trained on numbers (`--regression-target`): the logits are {outputs} for each text.",
            "",
        ]
    rest = len(task.labels) - _MOST_LABELS
    named = "" if task.labels_given else "The checkpoint does not record what its classes are called.\n"
    return [
        "## Labels",
        "",
        *([named] if named else []),
        "| id | label |",
        "|---:|---|",
        *(f"| {number} | {code(label)} |" for number, label in enumerate(task.labels[:_MOST_LABELS])),
        "",
        *([f"… and {rest:,} more, in `config.json`.", ""] if rest > 0 else []),
    ]


def source(plan: ConversionPlan, report: Report, names: PublicNames) -> list[str]:
    """The section about the file and the model in it."""
    d = plan.description
    head = f", head {code(names.head(plan.task.head.name))}" if plan.task.head else ""
    kept = "" if d.layers_kept is None else f" (those numbered {', '.join(map(str, d.layers_kept))} in the file)"
    rows = [
        *_files(report.source),
        ("Written by", d.producer.value),
        ("Layout of its keys", d.layout),
        ("Weights", "moving average (EMA)" if d.weights == "ema" else "as trained"),
        ("Converted for", _PURPOSES[plan.task.kind] + head),
        ("Layers", f"{d.layers}{kept}"),
        ("Sizes", f"width {d.hidden_size:,}, {d.attention_heads} attention heads, feed-forward {d.ffn_size:,}"),
        ("Vocabulary", _vocabulary(plan)),
        ("Longest input", f"{d.longest_input} tokens"),
        ("Stored type", d.dtype),
    ]
    return _section("Source", ("property", "value"), rows)


def training(plan: ConversionPlan) -> list[str]:
    """The section about the training, of what the checkpoint records; empty if that is nothing."""
    rows = list(_training_rows(plan.description.training))
    if not rows:
        return []
    return [
        *_section("Training", ("setting", "value"), rows),
        "As the checkpoint records it. It does not say what data it was trained on.",
        "",
    ]


def _section(heading: str, columns: tuple[str, str], rows: list[tuple[str, str]]) -> list[str]:
    head = [f"## {heading}", "", f"| {columns[0]} | {columns[1]} |", "|---|---|"]
    return [*head, *(f"| {name} | {value} |" for name, value in rows), ""]


def _files(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    parts = facts.get("parts", [{"name": facts["file"], "bytes": facts["bytes"], "sha256": facts["sha256"]}])
    assert isinstance(parts, list)
    return [
        row
        for part in parts
        for row in (("File", f"{code(part['name'])}, {part['bytes']:,} bytes"), ("SHA-256", code(part["sha256"])))
    ]


def _vocabulary(plan: ConversionPlan) -> str:
    text = f"{plan.description.vocab_size:,} rows"
    if plan.extra_rows:
        text += (
            f", and {plan.extra_rows:,} more that the tokenizer needs: tokens the training dictionary lacks; they read as "
            "`<unk>`, are never predicted and take no probability"
        )
    return text


def _training_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """One row for each thing that is known. `facts` are `prenorm.source.settings.training_facts`: numbers and our words."""
    known = {name: _number(value) for name, value in facts.items()}
    if "task" in facts or "arch" in facts:
        words = [f"{word} `{facts[key]}`" for key, word in (("task", "task"), ("arch", "architecture")) if key in facts]
        yield "Trained as", ", ".join(words)
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
        yield "Learning rate", ", ".join(words)
    if "optimizer" in facts:
        named = (("adam_betas", "betas"), ("adam_eps", "epsilon"), ("weight_decay", "weight decay"))
        words = [f"`{facts['optimizer']}`", *(f"{word} {known[key]}" for key, word in named if key in facts)]
        clip = facts.get("clip_norm")
        yield "Optimizer", ", ".join([*words, *([f"gradient norm clipped at {known['clip_norm']}"] if clip else [])])
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
    """The batch of a device and of an update; the latter only where every factor of it is recorded and constant."""
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
    yield "Batch of an update", f"{most}{per_update} ({_times(steps, 'step')} × {_times(replicas, 'device')})"


def _times(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _percent(value: object) -> str:
    return f"{100 * value:.4g} %" if isinstance(value, int | float) else ""


def _number(value: object) -> str:
    if isinstance(value, list):
        return f"{', '.join(map(_number, value[:-1]))} and {_number(value[-1])}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
