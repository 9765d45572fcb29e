"""What `inspect` found in a checkpoint: as values for programs, and as a screen of text for people."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from prenorm.checkpoint import NamedGlobal
from prenorm.commands.inspection_text import (
    SummaryRow,
    file_text,
    head_lines,
    model_lines,
    rounded,
    tensor_text,
    tokenizer_text,
    training_lines,
)
from prenorm.source.description import SourceDescription
from prenorm.tokenization.kinds import DictionaryKind


@dataclass(frozen=True)
class TensorLine:
    """One source tensor and what becomes of it.

    Attributes:
        name: its key in the checkpoint.
        dtype: its type.
        shape: its sizes.
        target: the target tensors it becomes, separated by commas; None if it is dropped, or nothing is known.
        reason: why it is dropped, or how it is changed; empty if it is copied.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    target: str | None = None
    reason: str = ""


_MARGIN = 11  # the width of the rows' names


@dataclass(frozen=True, kw_only=True)
class TokenizerState:
    """What is known of a model's tokenizer.

    Attributes:
        dictionary: the name of fairseq's dictionary; None if there is none that fits.
        holds: what its lines are, in words; None if there is none or they do not say.
        kind: the tokenizer that the folder gets; None if it gets none.
        files: what it is made of, besides the dictionary, and where that lies; empty if it gets none.
    """

    dictionary: str | None = None
    holds: DictionaryKind | None = None
    kind: str | None = None
    files: str = ""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a checkpoint holds.

    Attributes:
        file: its name; of a checkpoint in several files the first one's.
        size: the bytes of all files.
        files: the names of all files.
        read: how many of their bytes were read, where they are on the Hub and not all were; else None.
        container: how the files hold it.
        contents: the keys at its top.
        layout: the family of its tensors' names, if it is known.
        parameters: how many numbers the converted model has, if it can be converted.
        description: what model it holds, if it can be converted.
        converts_to: what it converts to, if it can be converted.
        tokenizer: what is known of its tokenizer, if it can be converted.
        refusal: why it cannot be converted.
        refusal_code: the exit code that `convert` would end in.
        next_step: the command or the call that converts it, if it can be converted.
        tensors: what becomes of each tensor.
        globals: what its pickle names; none of it is imported or run.
        warnings: what the user should know.
    """

    file: str
    size: int
    files: tuple[str, ...]
    read: int | None = None
    container: str
    contents: tuple[str, ...]
    layout: str | None = None
    parameters: int | None = None
    description: SourceDescription | None = None
    converts_to: Mapping[str, object] | None = None
    tokenizer: TokenizerState | None = None
    refusal: str | None = None
    refusal_code: int | None = None
    next_step: str | None = None
    tensors: tuple[TensorLine, ...] = ()
    globals: tuple[NamedGlobal, ...]
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the file is, in half a sentence."""
        if self.parameters is None:
            return "cannot be converted"
        return f"a pre-LayerNorm RoBERTa of {rounded(self.parameters)} parameters"

    @property
    def summary(self) -> tuple[SummaryRow, ...]:
        """What fits a screen: names of rows with their lines, in words and without empty ones."""
        rows: list[SummaryRow] = []
        if self.description is not None and self.parameters is not None:
            rows += [
                SummaryRow("model", tuple(model_lines(self.description, self.parameters))),
                SummaryRow("heads", tuple(head_lines(self.description))),
            ]
        if self.converts_to is not None:
            target = self.converts_to
            task = f"for {target['task']}: {target['chosen_because']}"
            rows.append(SummaryRow("becomes", (f"{target['model_type']}, {target['architecture']}", task)))
        if self.tokenizer is not None:
            state = self.tokenizer
            rows.append(
                SummaryRow("tokenizer", (tokenizer_text(state.kind, state.dictionary, state.holds, state.files),))
            )
        if self.description is not None:
            rows.append(SummaryRow("training", tuple(training_lines(self.description))))
        shapes = {line.name: line.shape for line in self.tensors}
        dropped = sum(line.target is None for line in self.tensors) if self.refusal is None else 0
        rows.append(SummaryRow("tensors", (tensor_text(shapes, dropped),) if shapes else ()))
        rows.append(SummaryRow("file", (file_text(self.files, self.size, self.container, self.globals, self.read),)))
        return tuple(row for row in rows if row.lines)

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values, for JSON.

        Returns:
            Its fields by name: numbers, texts, lists and mappings.
        """
        plain = asdict(self)
        plain["globals"] = [{**asdict(item), "risk": item.risk.value} for item in self.globals]
        return plain

    def _rows(self) -> Iterator[SummaryRow]:
        """Yield all that a screen shows below the title."""
        if self.refusal is not None:
            yield SummaryRow("refused", (self.refusal,))
        yield from self.summary
        yield from (SummaryRow("note", (text,)) for text in self.warnings)
        if self.next_step is not None:
            yield SummaryRow("next", (self.next_step,))

    def __str__(self) -> str:
        """Return what a screen shows."""
        texts = [f"{self.file}: {self.title}"]
        for name, lines in self._rows():
            texts += [f"{name if number == 0 else '':<{_MARGIN}}{line}" for number, line in enumerate(lines)]
        return "\n".join(texts)

    def __repr__(self) -> str:
        return f"<Inspection of {self.file}: {self.title if self.refusal is None else self.refusal}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the summary, as HTML without styles of its own but for columns."""

        def row(name: str, lines: tuple[str, ...]) -> str:
            text = "<br>".join(map(html.escape, lines))
            left = "text-align:left;vertical-align:top"
            return f'<tr><th style="{left}">{name}</th><td style="{left}">{text}</td></tr>'

        rows = ((name, tuple(line for text in lines for line in text.splitlines())) for name, lines in self._rows())
        title = f"<b>{html.escape(self.file)}</b>: {html.escape(self.title)}"
        return f"<p>{title}</p><table>{''.join(row(*item) for item in rows)}</table>"
