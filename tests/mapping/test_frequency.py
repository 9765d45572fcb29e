"""Whether a dictionary belongs to a model: its counts against the LM head's bias."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.paths import BPE, FIXTURES
from prenorm import convert, verify
from prenorm.mapping.frequency import LIMIT, frequency_correlation, frequency_warning, read_counts
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.progress import Silent

TRAINED = [
    "dinkytrain-mlm",
    "dinkytrain-classification",
    "dinkytrain-deepspeed-fp16",
    "dinkytrain-no-embedding-norm",
    "fairseq-0.12.2-hydra",
]
Lines = list[str]


class Warnings(Silent):
    """What the user is warned of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def warning(folder: Path, dictionary: Path) -> str | None:
    options = SourceOptions(bpe_dir=BPE, dictionary=dictionary)
    prepared = prepare(open_checkpoint(folder / "checkpoint.pt"), options)
    return frequency_warning(prepared, prepared.dictionary)


def shuffled(lines: Lines) -> Lines:
    return random.Random(0).sample(lines, len(lines))


CHANGES: dict[str, tuple[Callable[[Lines], Lines], bool]] = {
    "as it is": (lambda lines: lines, False),
    "shuffled": (shuffled, True),
    "turned round": (lambda lines: lines[::-1], True),
    "halves swapped": (lambda lines: lines[len(lines) // 2 :] + lines[: len(lines) // 2], True),
    "sorted by token": (lambda lines: sorted(lines), True),
    # What ranks cannot see, and must not warn of.
    "moved on by one": (lambda lines: lines[-1:] + lines[:-1], False),
    "all counts alike": (lambda lines: [line.rpartition(" ")[0] + " 1" for line in lines], False),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", TRAINED)
def test_a_dictionary_in_another_order_is_warned_of(name: str, change: str, tmp_path: Path) -> None:
    folder, path = FIXTURES / name, tmp_path / "dict.txt"
    turn, warns = CHANGES[change]
    path.write_text("\n".join(turn((folder / "dict.txt").read_text().splitlines())) + "\n")
    text = warning(folder, path)
    assert (text is not None) is warns, text
    if text is not None:
        assert text.startswith("dict.txt may be another model's: ")


@pytest.mark.parametrize("name", TRAINED)
def test_trained_models_are_far_above_the_limit(name: str) -> None:
    checkpoint = open_checkpoint(FIXTURES / name / "checkpoint.pt")
    tensors = prepare(checkpoint, SourceOptions()).canonical.tensors
    bias = next(item.tensor for key, item in tensors.items() if key.endswith("lm_head.bias")).read().double().numpy()
    correlation = frequency_correlation(bias, read_counts(FIXTURES / name / "dict.txt"))
    assert correlation is not None
    assert correlation > 0.9 > 3 * LIMIT - 0.01


def test_ranks_are_spearmans() -> None:
    counts = list(range(400, 0, -1))
    bias = np.exp(np.arange(404.0)[::-1] / 50)
    assert frequency_correlation(bias, counts) == pytest.approx(1)
    assert frequency_correlation(-bias, counts) == pytest.approx(-1)
    # Two of three values tied: by hand, ranks 0.5 0.5 2 against 0 1 2.
    tied = np.repeat([0.5, 0.5, 2.0], 100)
    assert frequency_correlation(np.concatenate([np.zeros(4), tied]), counts[:300]) is None  # too few values


def test_where_training_left_no_trace_nothing_is_said() -> None:
    counts = list(range(400, 0, -1))
    assert frequency_correlation(np.zeros(405), counts) is None
    assert frequency_correlation(np.full(405, np.nan), counts) is None
    assert frequency_correlation(np.arange(105.0), counts[:100]) is None
    assert frequency_correlation(np.arange(300.0), counts) is None
    assert frequency_correlation(np.arange(405.0), [1] * 400) is None


def test_lines_that_overwrite_give_no_counts(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_text("a 3\nb 2\na 1 #fairseq:overwrite\n")
    assert read_counts(path) == []
    path.write_text("a 3\nb +-2\nc 1\n")
    assert read_counts(path) == []
    path.write_text(f"a {'9' * 40}\nb -2\n")
    assert read_counts(path) == [2**53, -2]
    shutil.copy(FIXTURES / "dinkytrain-mlm" / "dict.txt", path)
    assert len(read_counts(path)) == 428


@pytest.mark.slow
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_verify_warns_without_an_option_where_the_dictionary_judges_a_tokenizer(
    with_tokenizer: bool, tmp_path: Path
) -> None:
    """The folder was made with the wrong dictionary, which lies beside the checkpoint: nothing else can see it."""
    folder = FIXTURES / "dinkytrain-mlm"
    source = Path(shutil.copy(folder / "checkpoint.pt", tmp_path))
    lines = shuffled((folder / "dict.txt").read_text().splitlines())
    (tmp_path / "dict.txt").write_text("\n".join(lines) + "\n")
    options = {"bpe_dir": BPE} if with_tokenizer else {}
    made = convert(source, tmp_path / "out", **options)  # type: ignore[arg-type]
    warned = Warnings()
    assert verify(source, made.output, progress=warned).passed
    for texts in (made.warnings, warned.texts):
        assert any("may be another model's" in text for text in texts) is with_tokenizer
