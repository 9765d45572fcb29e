"""`inspect` on the terminal: what the model is, what it becomes, and then everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prenorm.checkpoint import Risk
from prenorm.cli.console import escape, stdout, table
from prenorm.errors import printable
from prenorm.source.positions import PositionKind
from prenorm.source.training import UNKNOWN, Producer

if TYPE_CHECKING:
    from rich.console import Console

    from prenorm.commands.inspect import Inspection, TensorLine
    from prenorm.source.description import SourceDescription

_MOST_TABLE_ROWS = 2000  # a checkpoint of 100 layers has fewer tensors
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
    tensors = [
        (line.name, line.dtype, " x ".join(map(str, line.shape)) or "scalar", *([_fate(line)] if fates else []))
        for line in result.tensors
    ]
    title = f"{len(tensors)} tensors"
    _print_rows(console, title, ("tensor", "type", "shape", *fates), [(row, "") for row in tensors])
    title = f"{len(result.globals)} pickle globals (none was imported or run)"
    named = [((f"{item.module}.{item.name}", item.risk.value), _RISK_STYLES[item.risk]) for item in result.globals]
    _print_rows(console, title, ("global", ""), named)


def _print_rows(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]
) -> None:
    """Print rows, each with the style of its last cell, as a table; a great many without its lines, which take seconds."""
    if len(rows) > _MOST_TABLE_ROWS:
        console.print(title, style="bold")
        text = "\n".join("  ".join(map(printable, cells)) for cells, _ in rows)
        console.file.write(f"{text}\n")
        return
    made = table(*columns, title=title)
    for (*cells, last), style in rows:
        made.add_row(*map(escape, cells), f"[{style}]{escape(last)}[/{style}]" if style else escape(last))
    console.print(made)


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
        console.print(f"Tokenizer: {escape(str(target['tokenizer']))}", soft_wrap=True)
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
