"""How far the weights moved from one member to the next, by layer: two folders read side by side, a piece at a time."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.run.state import Look
from prenorm.errors import PrenormError
from prenorm.mapping import EXTRA_ROW_BIAS
from prenorm.progress import Progress
from prenorm.reports.run_model import Movement

if TYPE_CHECKING:
    import torch

    from prenorm.folder.published import StoredTensor

_LAYER = re.compile(r"\.layer\.(\d+)\.")
_LAYERS = ("embeddings", "layer", "final", "head")
_PIECE = 4 << 20  # values that are widened at a time


def movements(
    output: Path, looks: Mapping[str, Look], names: Sequence[str], known: Sequence[Movement], progress: Progress
) -> tuple[Movement, ...]:
    """Compare each member that is done with the next one that is.

    Args:
        output: the run's folder.
        looks: what a look at each member tells, by name.
        names: of the members that are done, in order.
        known: what the last report says; folders that it compared are not read again.
        progress: receives how many pairs are compared.

    Returns:
        A movement for each pair; none for two folders that hold different models, or cannot be read.
    """
    by_reports = {movement.reports: movement for movement in known}
    pairs = list(itertools.pairwise(names))
    progress.stage("Comparing", len(pairs))
    result = []
    for before, after in pairs:
        reports = tuple(_report_of(looks[name]) for name in (before, after))
        compared = by_reports.get((reports[0], reports[1]))
        layers = _layers(output / before, output / after) if compared is None else compared.layers
        if layers:
            result.append(Movement(before=before, after=after, reports=(reports[0], reports[1]), layers=layers))
        progress.advance(1)
    return tuple(result)


def _report_of(seen: Look) -> str:
    return (seen.record.report or "") if seen.record is not None else ""


def _layers(before: Path, after: Path) -> dict[str, float]:
    """Return the relative change of each layer's weights; empty if the folders do not hold the same tensors."""
    from prenorm.folder.published import open_published  # it brings torch, which a command with nothing to do can spare

    try:
        olds, news = (open_published(folder, folder).tensors for folder in (before, after))
    except (PrenormError, OSError):
        return {}
    if {name: item.shape for name, item in olds.items()} != {name: item.shape for name, item in news.items()}:
        return {}
    sums: dict[str, list[float]] = {}
    for name in olds:
        squares = sums.setdefault(layer_of(name), [0.0, 0.0])
        for old, new in zip(_pieces(name, olds[name]), _pieces(name, news[name]), strict=True):
            squares[0] += float((new - old).square().sum())
            # The bias of rows that the vocabulary has for its tokenizer alone is a large constant; nothing trained it.
            squares[1] += float(old[old != EXTRA_ROW_BIAS].square().sum())
    ratios = {layer: math.sqrt(moved / size) for layer, (moved, size) in sums.items() if size > 0}
    return {layer: ratios[layer] for layer in sorted(ratios, key=_order) if math.isfinite(ratios[layer])}


def _pieces(name: str, stored: StoredTensor) -> Iterator[torch.Tensor]:
    """Yield a tensor's values in float64, some rows at a time."""
    from safetensors import safe_open

    with safe_open(stored.file, "pt") as file:
        if not stored.shape:
            yield file.get_tensor(name).double()
            return
        rows = file.get_slice(name)
        step = max(1, _PIECE // max(math.prod(stored.shape[1:]), 1))
        for start in range(0, stored.shape[0], step):
            yield rows[start : start + step].double()


def _order(layer: str) -> tuple[int, int]:
    """Return where a layer stands in computing order."""
    word, _, number = layer.partition(" ")
    return _LAYERS.index(word), int(number) if number.isdecimal() else 0


def layer_of(name: str) -> str:
    """Return the layer that a tensor of a folder belongs to.

    Args:
        name: of the tensor.

    Returns:
        `embeddings`, `layer 3`, `final norm` or `head`.
    """
    matched = _LAYER.search(name)
    if matched is not None:
        return f"layer {matched[1]}"
    if ".embeddings." in name or name.startswith("embeddings."):
        return "embeddings"
    return "final norm" if "LayerNorm" in name and not name.startswith(("lm_head", "classifier")) else "head"
