"""The model card: README.md of the folder, with what is true of this conversion and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from converter.choices import TaskKind
from converter.folder import PLOT_FILE
from converter.parity.bundled_runtime import BUNDLED_CLASSES
from converter.parity.report import ParityReport, package_version
from converter.parity.table import parity_rows
from converter.reports.series import plot_description
from converter.source.layouts import DEEPSPEED

if TYPE_CHECKING:
    from converter.plan import ConversionPlan

# For each task: the Hub's name of it, and the class of transformers that loads the folder.
_PIPELINES = {
    TaskKind.MASKED_LM: ("fill-mask", "AutoModelForMaskedLM"),
    TaskKind.SEQUENCE_CLASSIFICATION: ("text-classification", "AutoModelForSequenceClassification"),
    TaskKind.MULTIPLE_CHOICE: ("multiple-choice", "AutoModelForMultipleChoice"),
    TaskKind.ENCODER: ("feature-extraction", "AutoModel"),
}

_TRAINING = {
    "mask_prob": "Masking rate",
    "leave_unmasked_prob": "of the masked, left as they are",
    "random_token_prob": "of the masked, replaced at random",
    "tokens_per_sample": "Tokens per sample",
    "num_updates": "Updates done",
    "max_update": "Updates planned",
    "batch_size": "Batch size per device and step",
    "seed": "Seed",
}


def model_card(plan: ConversionPlan, report: ParityReport, *, has_tokenizer: bool) -> str:
    """The card's Markdown, front matter included. It names no path, host or user."""
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            f"pipeline_tag: {_PIPELINES[plan.task.kind][0]}",
            "tags:",
            f"- {plan.model_type}",
            "- fairseq",
            "- prenorm",
            "---",
            "",
            "# RoBERTa with pre-LayerNorm, converted from fairseq",
            "",
            *_origin(plan, report),
            *_parity(report),
            *_usage(plan, has_tokenizer),
            *_limits(plan, has_tokenizer),
        ]
    )


def _origin(plan: ConversionPlan, report: ParityReport) -> list[str]:
    d = plan.description
    rows = [
        *_files(report.source),
        ("Written by", d.producer),
        ("Layout of its keys", d.layout),
        ("Weights", "moving average (EMA)" if d.weights == "ema" else "as trained"),
        ("Converted as", f"{plan.task.kind.value}" + (f", head `{plan.task.head.name}`" if plan.task.head else "")),
        ("Size", f"{d.layers} layers, width {d.hidden_size}, {d.attention_heads} heads, feed-forward {d.ffn_size}"),
        ("Vocabulary", _vocabulary(plan)),
        ("Longest input", f"{d.longest_input} tokens"),
        ("Stored type", d.dtype),
        *((_TRAINING[name], f"{value:g}") for name, value in d.training.items() if isinstance(value, int | float)),
    ]
    return [
        "This model was trained with fairseq or DinkyTrain under `--encoder-normalize-before`, and converted with "
        f"prenorm {package_version('prenorm')}.",
        "",
        "## Source",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
    ]


def _files(source: Mapping[str, object]) -> list[tuple[str, str]]:
    parts = source.get("parts", [{"name": source["file"], "bytes": source["bytes"], "sha256": source["sha256"]}])
    assert isinstance(parts, list)
    return [
        row
        for part in parts
        for row in (("File", f"`{part['name']}`, {part['bytes']:,} bytes"), ("SHA-256", f"`{part['sha256']}`"))
    ]


def _vocabulary(plan: ConversionPlan) -> str:
    text = f"{plan.description.vocab_size} rows"
    if plan.extra_rows:
        text += (
            f", and {plan.extra_rows} more that the tokenizer needs: BPE tokens the training dictionary lacks; they read "
            "as `<unk>`, are never predicted and take no probability"
        )
    return text


def _parity(report: ParityReport) -> list[str]:
    return [
        "## Parity",
        "",
        f"The folder was loaded and compared with what fairseq computes ({report.reference} reference, "
        f"{report.compute_dtype}), module by module and on the logits; every tensor was compared bit by bit. "
        "`parity_report.json` has all numbers.",
        "",
        "| check | largest difference | tolerance | |",
        "|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in parity_rows(report)),
        "",
        f"Verdict: **{report.verdict}**.",
        "",
        f"![{plot_description(report.to_dict())}]({PLOT_FILE})",
        "",
    ]


def _usage(plan: ConversionPlan, has_tokenizer: bool) -> list[str]:
    tokenizer = ["tokenizer = AutoTokenizer.from_pretrained(folder)"] if has_tokenizer else []
    cls, bundled = _PIPELINES[plan.task.kind][1], BUNDLED_CLASSES[plan.task.kind]
    names = f"{cls}, AutoTokenizer" if has_tokenizer else cls
    options = ", add_pooling_layer=False" if plan.task.kind is TaskKind.ENCODER else ""
    return [
        "## Use",
        "",
        "```python",
        f"from transformers import {names}",
        "",
        'folder = "."  # this folder, or its name on the Hub',
        f"model = {cls}.from_pretrained(folder{options})",
        *tokenizer,
        "```",
        "",
        "Without transformers, with the model that prenorm brings:",
        "",
        "```python",
        f"from model import {bundled}",
        "",
        f'model = {bundled}.from_pretrained("."{options})',
        "```",
        "",
        "Always pass the attention mask when a batch is padded.",
        "",
    ]


def _limits(plan: ConversionPlan, has_tokenizer: bool) -> list[str]:
    d = plan.description
    limits = []
    if plan.task.kind is not TaskKind.MULTIPLE_CHOICE:  # there the head's first map is the pooler
        limits.append("No pooler: fairseq's RoBERTa has none, so `AutoModel` initializes one at random.")
    left_out = [head.name for head in d.heads if plan.task.head is None or head.name != plan.task.head.name]
    if left_out:
        limits.append(f"The classification heads {', '.join(left_out)} of the checkpoint are left out.")
    if plan.task.kind is not TaskKind.MASKED_LM and d.lm_head:
        limits.append("The masked-LM head of the checkpoint is left out.")
    if not has_tokenizer:
        limits.append("No tokenizer: the conversion was given no BPE.")
    if d.layout.endswith(DEEPSPEED.name):
        limits.append(
            "Trained with DeepSpeed kernels, which compute GELU in its tanh form; this folder says "
            f"`hidden_act: {plan.config['hidden_act']}`. The float16 kernels themselves were not run for the comparison."
        )
    if d.activation_dropout:
        limits.append(
            f"Trained with a dropout of {d.activation_dropout:g} inside the feed-forward block, which has no setting here."
        )
    return ["## What is not in it", "", *(f"- {line}" for line in limits), ""]
