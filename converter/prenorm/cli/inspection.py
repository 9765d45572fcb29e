"""`inspect` on the terminal: what the model is, what it becomes, and then everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prenorm.checkpoint import Risk
from prenorm.cli.console import escape, stdout, table
from prenorm.source.positions import PositionKind
from prenorm.source.training import UNKNOWN, Producer

if TYPE_CHECKING:
    from rich.console import Console

    from prenorm.commands.inspect import Inspection, TensorLine
    from prenorm.source.description import SourceDescription

_RISK_STYLES = {Risk.PLAIN: "", Risk.FOREIGN: "yellow", Risk.CODE: "bold red"}


def print_inspection(result: Inspection) -> None:
    """Print the inspection.

    Args:
        result: what `inspect` returns.
    """
    console = stdout()
    _print_summary(console, result)
    facts = table("", "", title=escape(result.file))
    for name, value in _facts(result):
        facts.add_row(name, escape(value))
    console.print(facts)
    fates = ["becomes"] if any(map(_fate, result.tensors)) else []
    tensors = table("tensor", "type", "shape", *fates, title=f"{len(result.tensors)} tensors")
    for line in result.tensors:
        shape = " x ".join(map(str, line.shape)) or "scalar"
        tensors.add_row(escape(line.name), line.dtype, shape, *([escape(_fate(line))] if fates else []))
    console.print(tensors)
    globals_table = table("global", "", title=f"{len(result.globals)} pickle globals (none was imported or run)")
    for item in result.globals:
        style, label = _RISK_STYLES[item.risk], escape(item.risk.value)
        globals_table.add_row(escape(f"{item.module}.{item.name}"), f"[{style}]{label}[/{style}]" if style else label)
    console.print(globals_table)


def _print_summary(console: Console, result: Inspection) -> None:
    """Print what the model is, what it becomes or why it cannot, and what the user should know."""
    if result.description is not None:
        console.print(escape(_model(result.description)), soft_wrap=True)
    if result.refusal is not None:
        label = f"[bold]Cannot be converted (exit code {result.refusal_code}):[/bold]"
        console.print(f"{label} {escape(result.refusal)}", soft_wrap=True)
    elif result.converts_to is not None:
        target = result.converts_to
        console.print(
            f"[bold]Converts to[/bold] {target['model_type']}, {target['architecture']}, for {target['task']}: "
            f"{escape(str(target['chosen_because']))}",
            soft_wrap=True,
        )
    for text in result.warnings:
        console.print(f"[yellow]Note:[/yellow] {escape(text)}", soft_wrap=True)


def _model(description: SourceDescription) -> str:
    """Return one sentence on the model."""
    task = "" if description.task == UNKNOWN else f" trained for {description.task}"
    program = "" if description.producer is Producer.UNKNOWN else f" by {description.producer}"
    return (
        f"A pre-LayerNorm RoBERTa with {description.layers} layers of width {description.hidden_size}, "
        f"{description.attention_heads} attention heads and {description.vocab_size:,} tokens"
        + (f",{task}{program}" if task or program else "")
    )


def _facts(result: Inspection) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table of facts."""
    yield "size", f"{result.size:,} bytes, {result.container}"
    if len(result.files) > 1:
        yield "files", ", ".join(result.files)
    yield "contents", ", ".join(result.contents)
    if result.layout is not None:
        yield "layout", result.layout
    if result.description is not None:
        yield from _origin(result.description)
        yield from _sizes(result.description)
        if result.converts_to is not None and result.converts_to["extra_rows"]:
            yield "extra vocabulary rows", str(result.converts_to["extra_rows"])
        yield from _computation(result.description)
        yield from _heads(result.description)
        if result.description.training:
            yield "training", ", ".join(f"{key}={_plain(value)}" for key, value in result.description.training.items())


def _origin(description: SourceDescription) -> Iterator[tuple[str, str]]:
    for name, value in (
        ("producer", description.producer),
        ("arguments from", description.arguments_from),
        ("arch", description.arch),
        ("task", description.task),
    ):
        if value and value != UNKNOWN:
            yield name, value
    if description.weights != "model":
        yield "weights", f"{description.weights}, the moving average"
    yield "type", description.dtype


def _sizes(description: SourceDescription) -> Iterator[tuple[str, str]]:
    yield "vocabulary", f"{description.vocab_size:,} rows, the pad has id {description.pad_id}"
    kept = description.layers_kept
    yield "layers", str(description.layers) + (f", kept of more: {_plain(kept)}" if kept is not None else "")
    yield "hidden size", str(description.hidden_size)
    yield "attention heads", str(description.attention_heads)
    yield "feed-forward size", str(description.ffn_size)
    positions = description.positions
    yield (
        "positions",
        str(positions)
        if positions.kind is not PositionKind.NONE
        else f"none; room for {description.longest_input} tokens",
    )


def _computation(description: SourceDescription) -> Iterator[tuple[str, str]]:
    yield "activation", description.activation + ("" if description.activation_recorded else ", not recorded")
    yield "norm after embeddings", "yes" if description.embedding_norm else "no"
    if description.scaled_embedding:
        yield "word embeddings", "multiplied by the square root of the hidden size"
    dropouts = {
        "hidden": description.dropout,
        "attention": description.attention_dropout,
        "activation": description.activation_dropout,
        "pooler": description.pooler_dropout,
    }
    if any(dropouts.values()):
        yield "dropout", ", ".join(f"{name} {value:g}" for name, value in dropouts.items() if value)


def _heads(description: SourceDescription) -> Iterator[tuple[str, str]]:
    if description.lm_head:
        tied = "tied to the word embeddings" if description.tied else "with a matrix of its own"
        yield "masked-LM head", f"{description.head_activation}, {tied}"
    if description.heads:
        heads = ", ".join(f"{head.name} ({head.inner_size} -> {head.outputs})" for head in description.heads)
        yield "classification heads", f"{heads}; {description.pooler_activation}"
    if description.trained_head is not None:
        purpose = " on numbers" if description.regression else ""
        yield "trained head", f"{description.trained_head.name}, {description.trained_head.kind.value}{purpose}"


def _fate(line: TensorLine) -> str:
    """Return what becomes of a tensor; empty where that is not known."""
    if line.target:
        return f"{line.target} ({line.reason})" if line.reason else line.target
    return f"dropped: {line.reason}" if line.reason else ""


def _plain(value: object) -> str:
    """Return a value in words that are not Python's."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "/".join(map(_plain, value))
    return str(value)
