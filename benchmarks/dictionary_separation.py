"""How well the counts of a dictionary tell whether it belongs to a model: their rank correlation with the LM head's bias.

python benchmarks/dictionary_separation.py [--plot docs/dictionary_separation.png] [FOLDER ...]

A folder has `checkpoint.pt` and `dict.txt`. By default those of `fixtures/` are measured that have an LM head.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prenorm.errors import PrenormError
from prenorm.mapping.frequency import LIMIT, frequency_correlation, read_counts
from prenorm.parts import open_checkpoint
from prenorm.source.contents import model_tensors

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SHUFFLES = 1000
FEWEST_UPDATES = 100
Counts = list[int]
# The dictionary in another order; what is shifted is pushed in again at the other end.
CHANGES: dict[str, Callable[[Counts], Counts]] = {
    "its own": lambda counts: counts,
    "two lines swapped": lambda counts: [*counts[:8], counts[21], *counts[9:21], counts[8], *counts[22:]],
    "shifted by one line": lambda counts: counts[-1:] + counts[:-1],
    "shifted by half": lambda counts: counts[len(counts) // 2 :] + counts[: len(counts) // 2],
    "reversed": lambda counts: counts[::-1],
}


@dataclass(frozen=True)
class Model:
    """A checkpoint with an LM head, and the dictionary beside it."""

    name: str
    updates: int
    bias: np.ndarray
    counts: Counts

    @property
    def trained(self) -> bool:
        """Some fixtures were trained just long enough for their biases not to be zero."""
        return self.updates >= FEWEST_UPDATES

    def correlation(self, counts: Counts) -> float | None:
        return frequency_correlation(self.bias, counts)


def models(folders: Sequence[Path]) -> Iterator[Model]:
    """Those whose correlation with their own dictionary is defined."""
    for folder in folders:
        try:
            checkpoint = open_checkpoint(folder / "checkpoint.pt")
            tensors = model_tensors(checkpoint)
        except PrenormError:
            continue  # made to be refused
        bias = next((tensor for name, tensor in tensors.items() if name.endswith("lm_head.bias")), None)
        if bias is not None:
            name = folder.relative_to(FIXTURES).as_posix() if folder.is_relative_to(FIXTURES) else folder.name
            history = checkpoint.content.get("optimizer_history") or [{}]
            updates = int(history[-1].get("num_updates", 0))
            model = Model(name, updates, bias.read().double().numpy(), read_counts(folder / "dict.txt"))
            if model.correlation(model.counts) is not None:
                yield model


def measured(found: Sequence[Model]) -> dict[str, list[list[float]]]:
    """Correlations by kind of dictionary: a list for each model."""
    chance = random.Random(0)
    table = {kind: [[model.correlation(change(model.counts))] for model in found] for kind, change in CHANGES.items()}
    table["shuffled"] = [
        [model.correlation(chance.sample(model.counts, len(model.counts))) for _ in range(SHUFFLES)] for model in found
    ]
    others = {tuple(model.counts): model.counts for model in found}
    table["another corpus'"] = [
        [model.correlation(counts) for counts in others.values() if counts != model.counts] for model in found
    ]
    return {kind: [[r for r in row if r is not None] for row in rows] for kind, rows in table.items()}


def printed(found: Sequence[Model], table: dict[str, list[list[float]]]) -> None:
    """A line for each model; several correlations as their least and largest."""
    print("| checkpoint | updates | rows | " + " | ".join(table) + " |")
    print("|---|---|---|" + "---|" * len(table))
    for number, model in enumerate(found):
        cells = [_span(rows[number]) for rows in table.values()]
        print(f"| {model.name} | {model.updates} | {len(model.counts)} | " + " | ".join(cells) + " |")
    for words, kept in (("trained", True), ("hardly trained", False)):
        cells = [_span(_values(found, rows, kept)) for rows in table.values()]
        print(f"| all {words} | | | " + " | ".join(cells) + " |")


def _values(found: Sequence[Model], rows: Sequence[Sequence[float]], trained: bool) -> list[float]:
    return [r for model, row in zip(found, rows, strict=True) if model.trained is trained for r in row]


def _span(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{values[0]:.2f}" if len(values) == 1 else f"{min(values):.2f} to {max(values):.2f}"


def plotted(found: Sequence[Model], table: dict[str, list[list[float]]], path: Path) -> None:
    """A row of points for each kind of dictionary, one for its own of the models hardly trained, and the limit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.4), layout="constrained")
    chance = random.Random(0)
    shown = {kind: _values(found, rows, True) for kind, rows in table.items()}
    shown["its own, hardly trained"] = _values(found, table["its own"], False)
    kinds = sorted((kind for kind in shown if shown[kind]), key=lambda kind: float(np.median(shown[kind])))
    for height, kind in enumerate(kinds):
        values = shown[kind]
        spread = [height + chance.uniform(-0.25, 0.25) for _ in values]
        many = len(values) > 500
        axes.scatter(values, spread, s=2 if many else 12, alpha=0.2 if many else 0.7, color="#2c5f8a", linewidths=0)
    axes.axvspan(-1, LIMIT, color="#b33", alpha=0.07)
    axes.axvline(LIMIT, color="#b33", linewidth=1)
    axes.annotate(f"warned of below {LIMIT}", (LIMIT - 0.02, len(kinds) - 0.55), ha="right", va="top", color="#b33")
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_xlim(-1.02, 1.02)
    axes.set_ylabel("dictionary")
    axes.set_xlabel("rank correlation of the dictionary's counts and the LM head's bias")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def main() -> None:
    """Measures, prints and, if asked, draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    given = parser.parse_args()
    folders = given.folders or sorted(path.parent for path in FIXTURES.rglob("dict.txt"))
    found = list(models(folders))
    table = measured(found)
    printed(found, table)
    if given.plot:
        plotted(found, table, given.plot)


if __name__ == "__main__":
    main()
