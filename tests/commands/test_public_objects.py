"""What Python shows of the public names and objects: short texts in a shell, the report's page in a notebook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prenorm
from helpers.paths import BPE, FIXTURES, MLM
from helpers.report_cases import synthetic
from helpers.waiting import PATIENCE
from prenorm.options import ConvertOptions, InspectOptions, PushOptions
from prenorm.parts import open_checkpoint
from prenorm.reports import SUFFIXES, Report, read, render


def report(**changes: Any) -> Report:
    import json

    return read(json.dumps(synthetic(**changes)).encode())


def test_the_package_lists_its_public_names_and_no_others() -> None:
    assert dir(prenorm) == sorted(prenorm.__all__)
    for name in ("convert", "convert_run", "inspect", "verify", "record", "push", "__version__"):
        assert name in dir(prenorm)
    assert all(getattr(prenorm, name) is not None for name in dir(prenorm))
    with pytest.raises(AttributeError, match="module 'prenorm' has no attribute 'konvert'"):
        getattr(prenorm, "konvert")  # noqa: B009


def test_importing_it_is_light() -> None:
    code = "import prenorm, sys; prenorm.__version__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    heavy = {"torch", "numpy", "click", "rich", "msgspec", "matplotlib", "IPython", "tokenizers", "huggingface_hub"}
    assert not heavy & set(done.stdout.split())


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> prenorm.Conversion:
    return prenorm.convert(MLM, tmp_path_factory.mktemp("objects") / "out", bpe_dir=BPE)


OBJECTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "conversion": (lambda made: made, "<Conversion to {output}: RobertaPreLayerNormForMaskedLM, passed>"),
    "plan": (lambda made: made.plan, "<ConversionPlan to RobertaPreLayerNormForMaskedLM: 60 tensors, 2 left out>"),
    "description": (
        lambda made: made.plan.description,
        "<SourceDescription: 3 layers of width 48, 4 heads, 433 tokens, float32>",
    ),
    "report": (lambda made: made.report, "<Report of parity: checkpoint.pt passed (5 checks)>"),
    "failed report": (
        lambda made: report(fail_at="layer.1.attention.self.key"),
        "<Report of parity: checkpoint_best.pt failed (4 checks, 2 failed)>",
    ),
    "check": (
        lambda made: made.report.check("extra rows"),
        "<Check extra rows: passed (0, tolerance {tolerance:.1e})>",
    ),
    "inspection": (
        lambda made: prenorm.inspect(MLM),
        "<Inspection of checkpoint.pt: a pre-LayerNorm RoBERTa of 87 thousand parameters>",
    ),
    "checkpoint": (
        lambda made: open_checkpoint(MLM),
        "<Checkpoint checkpoint.pt: zip, 1,117,121 bytes, 8 entries>",
    ),
    "tensor": (
        lambda made: open_checkpoint(MLM).content["model"]["encoder.lm_head.weight"],  # type: ignore[index]
        "<LazyTensor float32 [433, 48]>",
    ),
    "options": (
        lambda made: InspectOptions("a.pt", task="encoder"),
        "InspectOptions(checkpoint={checkpoint!r}, task='encoder')",
    ),
    "arguments alone": (lambda made: PushOptions("out", "a/b"), "PushOptions(folder={folder!r}, repo_id='a/b')"),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_a_text_is_short(case: str, conversion: prenorm.Conversion) -> None:
    make, text = OBJECTS[case]
    tolerance = conversion.report.check("extra rows").tolerance  # as this processor rounds
    assert repr(make(conversion)) == text.format(
        output=conversion.output, folder=Path("out"), checkpoint=Path("a.pt"), tolerance=tolerance
    )


def test_a_golden_file_and_a_refusal_are_short(tmp_path: Path) -> None:
    golden = prenorm.record(MLM, tmp_path / "golden.npz")
    assert repr(golden).startswith("<Golden of checkpoint.pt: RobertaPreLayerNormForMaskedLM, ")
    refused = prenorm.inspect(FIXTURES / "fairseq-0.10.2-postnorm" / "checkpoint.pt")
    assert repr(refused).startswith("<Inspection of checkpoint.pt: this is a post-LayerNorm model")


def test_options_show_what_is_chosen() -> None:
    assert repr(ConvertOptions("a.pt", "b", words=True, language="en")) == (
        f"ConvertOptions(checkpoint={Path('a.pt')!r}, output={Path('b')!r}, words=True, language=('en',))"
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_report_saves_itself_in_every_form(suffix: str, tmp_path: Path) -> None:
    made = report()
    made.save(tmp_path / f"parity{suffix}")
    made.save(str(tmp_path / f"text{suffix}"))
    expected = render(made, suffix).encode()
    assert (tmp_path / f"parity{suffix}").read_bytes() == (tmp_path / f"text{suffix}").read_bytes() == expected


def test_a_suffix_that_is_no_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(prenorm.UsageProblem, match="suffix must be one of"):
        report().save(tmp_path / "parity.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_report_draws_a_figure(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = report().plot()
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_ylabel() == "largest absolute difference"
    figure.savefig(tmp_path / "parity.png")
    picture: bytes = figure._repr_png_()  # type: ignore[attr-defined]
    assert picture.startswith(b"\x89PNG")


def test_a_report_of_fitness_has_no_plot() -> None:
    import msgspec

    with pytest.raises(prenorm.UsageProblem, match="fitness compares no modules"):
        msgspec.structs.replace(report(), kind="fitness").plot()


def test_an_inspection_prints_as_the_command_shows_it() -> None:
    printed = str(prenorm.inspect(MLM)).splitlines()
    assert printed[0] == "checkpoint.pt: a pre-LayerNorm RoBERTa of 87 thousand parameters"
    assert printed[1].startswith("model      3 layers, width 48")
    assert printed[2].startswith(" " * 11 + "87,025 parameters")
    assert printed[-1] == f'next       prenorm.convert("{MLM}", bpe_dir="gpt2")'
    refused = str(prenorm.inspect(FIXTURES / "fairseq-0.10.2-postnorm" / "checkpoint.pt")).splitlines()
    assert refused[0] == "checkpoint.pt: cannot be converted"
    assert refused[1].startswith("refused    this is a post-LayerNorm model")
