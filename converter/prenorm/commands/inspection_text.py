"""The words of an inspection: what a checkpoint holds, in lines that a terminal, a notebook and a log can show.

Everything is plain ASCII but for names that come from the file, and nothing is written as Python would write it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from prenorm.checkpoint import NamedGlobal, Risk
from prenorm.source.description import SourceDescription
from prenorm.source.history import TrainingHistory
from prenorm.source.positions import PositionKind
from prenorm.source.training import UNKNOWN, Producer

_LAYER = re.compile(r"(?P<before>(?:.*\.)?layers\.)(?P<number>\d+)\.(?P<rest>.+)")
_OUTER = re.compile(r"(?:_forward_module\.|module\.|model\.|encoder\.|decoder\.|sentence_encoder\.)*")
_UNITS = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
_SECONDS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
_MOST_HEADS, _MOST_NAMES, _MOST_MODULES = 4, 3, 12


class SummaryRow(NamedTuple):
    """A row of the summary: what it is about, and its lines."""

    name: str
    lines: tuple[str, ...]


def rounded(count: int) -> str:
    """Write a large number as people say it.

    Args:
        count: the number.

    Returns:
        Three digits with a word for the power of ten, such as 125 million; all digits where there are few.
    """
    value = float(f"{count:.3g}")
    for size, word in _UNITS:
        if value >= size:
            return f"{value / size:g} {word}"
    return f"{count:,}"


def model_lines(description: SourceDescription, parameters: int) -> Iterator[str]:
    """Write how large the model is, and what it computes.

    Args:
        description: the model.
        parameters: how many it has.

    Yields:
        Lines.
    """
    kept = f" (kept of more: {', '.join(map(str, description.layers_kept))})" if description.layers_kept else ""
    assumed = "" if description.activation_recorded else ", which is not recorded"
    yield (
        f"{_plural(description.layers, 'layer')}{kept}, width {description.hidden_size:,}, "
        f"{_plural(description.attention_heads, 'attention head')}, feed-forward {description.ffn_size:,} "
        f"({description.activation}{assumed})"
    )
    room = f"positions for {description.longest_input:,}"
    if description.positions.kind is not PositionKind.LEARNED:
        room += " without a table" if description.positions.kind is PositionKind.NONE else " by sinusoids"
    parts = [f"{parameters:,} parameters", f"{description.vocab_size:,} tokens", room, description.dtype]
    parts += [] if description.embedding_norm else ["no norm behind the embeddings"]
    parts += ["embeddings times the square root of the width"] if description.scaled_embedding else []
    parts += ["weights are the moving average (ema)"] if description.weights != "model" else []
    yield ", ".join(parts)


def head_lines(description: SourceDescription) -> Iterator[str]:
    """Write which heads the checkpoint has.

    Args:
        description: the model.

    Yields:
        Lines; none if it has no head.
    """
    heads = []
    if description.lm_head:
        heads.append("masked LM, " + ("tied to the embeddings" if description.tied else "with a matrix of its own"))
    heads += _cut([f"{head.name} ({_plural(head.outputs, 'output')})" for head in description.heads], _MOST_HEADS)
    if heads:
        yield "; ".join(heads)
    trained = description.trained_head
    if trained is not None:
        yield f"trained: {trained.name}, for {trained.kind.value}{' of numbers' if description.regression else ''}"


def tokenizer_text(kind: str | None, dictionary: str | None, holds: str | None, files: str) -> str:
    """Write which tokenizer the folder gets, or what there is to make one of.

    Args:
        kind: the tokenizer that the folder gets, if any.
        dictionary: the name of fairseq's dictionary, if there is one.
        holds: what its lines are, if they say.
        files: what the tokenizer is made of besides.

    Returns:
        One line.
    """
    if kind is not None:
        return f"{kind}, from {files}, with {dictionary}" if files != dictionary else f"{kind}, from {files}"
    if dictionary is None:
        return "none: no dict.txt that fits lies beside the checkpoint"
    return f"none yet: {dictionary} is there" + (f" and holds {holds}" if holds else "")


def training_lines(description: SourceDescription) -> Iterator[str]:
    """Write what the checkpoint records of its training.

    Args:
        description: the model.

    Yields:
        Lines; none if nothing is recorded.
    """
    facts, history = description.training, description.history
    names = [description.task, description.criterion if description.criterion != description.task else UNKNOWN]
    names.append(description.arch)
    words = [word for word in names if word != UNKNOWN]
    if description.producer is not Producer.UNKNOWN:
        words.append(f"by {description.producer}")
    yield from _joined(words)
    yield from _joined(_progress(facts, history))
    yield from _joined(_losses(history), "; ")
    yield from _joined(_settings(facts, history))


def _progress(facts: Mapping[str, object], history: TrainingHistory) -> Iterator[str]:
    planned = facts.get("max_update")
    if history.updates is not None:
        of = f" of {planned:,}" if isinstance(planned, int) else ""
        yield f"{history.updates:,}{of} updates"
    if history.epoch is not None:
        yield f"epoch {history.epoch:,}"
    if history.seconds:
        size, unit = next(((size, unit) for size, unit in _SECONDS if history.seconds >= size), _SECONDS[-1])
        yield f"{history.seconds / size:.3g} {unit}"


def _losses(history: TrainingHistory) -> Iterator[str]:
    if history.validation is not None:
        is_best = history.best == history.validation
        best = (
            ", the best so far" if is_best else f", the best was {history.best:g}" if history.best is not None else ""
        )
        yield f"validation {history.metric} {history.validation:g}{best}"
    if history.training_loss is not None:
        yield f"training loss {history.training_loss:.4g}"


def _settings(facts: Mapping[str, object], history: TrainingHistory) -> Iterator[str]:
    if "lr" in facts:
        rate = f"learning rate {_plain(facts['lr'])}"
        if history.learning_rate is not None and history.learning_rate != facts["lr"]:
            rate += f" (last {history.learning_rate:.3g})"
        yield rate
    if "lr_scheduler" in facts:
        yield str(facts["lr_scheduler"])
    if "warmup_updates" in facts:
        yield f"{_plain(facts['warmup_updates'])} warm-up updates"
    if "batch_size" in facts:
        frequency = facts.get("update_freq", 1)
        steps = "" if frequency == 1 else f" x {_plain(frequency)} steps"
        yield f"batch {_plain(facts['batch_size'])}{steps}"
    if "tokens_per_sample" in facts:
        yield f"{_plain(facts['tokens_per_sample'])} tokens each"
    if isinstance(facts.get("mask_prob"), int | float):
        yield f"masked {facts['mask_prob']:.3%}".replace(".000%", " %")
    if facts.get("fp16") or facts.get("bf16"):
        yield "in bfloat16" if facts.get("bf16") else "in float16"


def tensor_text(shapes: Mapping[str, Sequence[int]], dropped: int) -> str:
    """Write which tensors there are, with layers of the same shapes folded into one.

    Args:
        shapes: the sizes of each tensor by its name.
        dropped: how many of them have no place in the folder.

    Returns:
        One line, such as: 197 tensors: embed_tokens 50265 x 768, layers.0-11 x12 (16 each), lm_head (4).
    """
    left = f" ({dropped} not needed)" if dropped else ""
    return f"{_plural(len(shapes), 'tensor')}{left}: {', '.join(_cut(folded(shapes), _MOST_MODULES))}"


def folded(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Fold tensors into one text for each module, and layers that are alike into one.

    Args:
        shapes: the sizes of each tensor by its name.

    Returns:
        The texts, in the order in which the modules come first.
    """
    modules: dict[str, list[Sequence[int]]] = {}
    layers: dict[str, dict[int, dict[str, tuple[int, ...]]]] = {}
    for name, shape in shapes.items():
        matched = _LAYER.fullmatch(name)
        if matched:
            stack = layers.setdefault(_short(matched["before"]), {})
            stack.setdefault(int(matched["number"]), {})[matched["rest"]] = tuple(shape)
            modules.setdefault(_short(matched["before"]), [])
        else:
            modules.setdefault(_module(_short(name)), []).append(shape)
    texts: list[str] = []
    for module, sizes in modules.items():
        if module in layers:
            texts += _folded_layers(module, layers[module])
        elif len(sizes) == 1:
            texts.append(f"{module} {' x '.join(map(str, sizes[0]))}" if math.prod(sizes[0]) > 1 else module)
        else:
            texts.append(f"{module} ({len(sizes)})")
    return texts


def _folded_layers(prefix: str, stack: Mapping[int, Mapping[str, tuple[int, ...]]]) -> Iterator[str]:
    """Yield a text for each run of layers whose tensors have the same names and shapes."""
    for _, members in groupby(sorted(stack), key=lambda number: sorted(stack[number].items())):
        numbers = list(members)
        span = f"{numbers[0]}-{numbers[-1]} x{len(numbers)}" if len(numbers) > 1 else f"{numbers[0]}"
        yield f"{prefix}{span} ({len(stack[numbers[0]])} each)"


def _short(name: str) -> str:
    """Return a name without what every name of a RoBERTa begins with."""
    return name[_OUTER.match(name).end() :]  # type: ignore[union-attr]


def _module(name: str) -> str:
    """Return which part of the model a tensor belongs to: the first part of its name, with a classification head's."""
    first, *rest = name.split(".")
    return ".".join([first, *rest[:1]]) if first == "classification_heads" else first


def file_text(
    files: Sequence[str], size: int, container: str, named: Sequence[NamedGlobal], read: int | None = None
) -> str:
    """Write how the checkpoint is stored, and what its pickle names.

    Args:
        files: their names.
        size: their bytes.
        container: how they hold it.
        named: the globals of the pickle.
        read: how many of the bytes were read, if not all are here.

    Returns:
        One line.
    """
    in_files = f"{len(files)} files ({', '.join(_cut(files, _MOST_NAMES + 1))}), " if len(files) > 1 else ""
    risky, foreign = (
        [f"{item.module}.{item.name}" for item in named if item.risk is risk] for risk in (Risk.CODE, Risk.FOREIGN)
    )
    on_hub = "" if read is None else f" on the Hub ({read:,} read)"
    text = f"{in_files}{size:,} bytes{on_hub}, {container}; {_plural(len(named), 'pickle global')}, none of them run"
    for names, words in ((risky, "could run code"), (foreign, "of other packages")):
        text += f"; {words}: {', '.join(_cut(names, _MOST_NAMES))}" if names else ""
    return text


def _cut(texts: Sequence[str], most: int) -> list[str]:
    """Return the first texts, and how many more there are."""
    return [*texts[:most], *([f"{len(texts) - most} more"] if len(texts) > most else [])]


def _joined(words: Iterator[str] | Sequence[str], between: str = ", ") -> Iterator[str]:
    """Yield the words as one line, or nothing."""
    line = between.join(words)
    if line:
        yield line


def _plural(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def _plain(value: object) -> str:
    """Return a setting's value in words that are not Python's."""
    if isinstance(value, list):
        return "/".join(map(_plain, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
