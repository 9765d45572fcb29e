"""What the tests share: the fixtures' folders, edited checkpoints, conversions made once, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing in the tests may load from the Hub
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = Path(__file__).resolve().parent.parent
SOURCES = os.pathsep.join(str(ROOT / name) for name in ("converter", "model"))  # for an interpreter without prenorm
FIXTURES = ROOT / "fixtures"
BPE = FIXTURES / "gpt2_bpe"
# The fixtures that convert as masked LMs, each with the class that transformers loads its folder as.
ARCHITECTURES = {
    "dinkytrain-mlm": "RobertaPreLayerNormForMaskedLM",
    "dinkytrain-classification": "RobertaPreLayerNormForMaskedLM",
    "dinkytrain-deepspeed-fp16": "RobertaPreLayerNormForMaskedLM",
    "dinkytrain-no-embedding-norm": "XLMRobertaXLForMaskedLM",
    "fairseq-0.12.2-hydra": "RobertaPreLayerNormForMaskedLM",
}
CONVERTIBLE = tuple(ARCHITECTURES)
MLM = FIXTURES / "dinkytrain-mlm" / "checkpoint.pt"
FAIRSEQ_PYTHON = ROOT / ".venv-fairseq" / "bin" / "python"
OLD_TRANSFORMERS_PYTHON = ROOT / ".venv-transformers-4.57" / "bin" / "python"

# pytest-xdist runs one worker per core; more threads than cores only slow each other down.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def load_trusted(path: Path) -> dict[str, Any]:
    """One of our own fixtures, unpickled the usual way, to be changed."""
    content: dict[str, Any] = torch.load(path, weights_only=False)
    return content


def save_edited(path: Path, edit: Callable[[dict[str, Any]], object], source: Path = MLM, **options: Any) -> Path:
    """A copy of a fixture at `path`, with its dictionary beside it, after `edit` changed the content."""
    content = load_trusted(source)
    edit(content)
    torch.save(content, path, **options)
    (path.parent / "dict.txt").write_bytes((source.parent / "dict.txt").read_bytes())
    return path


def run_command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The installed command `prenorm`, as a user runs it."""
    command = [str(Path(sys.executable).with_name("prenorm")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command line in this process, so that a test can plant a fault; returns the exit code."""
    from prenorm.cli import main as cli

    monkeypatch.setattr(sys, "argv", ["prenorm", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return int(stopped.value.code)


def run_fairseq(script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under the interpreter that has real fairseq; JSON in, JSON out."""
    assert FAIRSEQ_PYTHON.exists(), "real fairseq is not installed: run `make fairseq-env`"
    return run_worker(FAIRSEQ_PYTHON, script, *arguments, stdin=stdin)


def run_worker(python: Path, script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under another interpreter; JSON in, JSON out."""
    done = subprocess.run(
        [str(python), str(script), *map(str, arguments)],
        input=json.dumps(stdin), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder that a fixture converts to as a masked LM; each is made once per worker."""
    from prenorm import convert

    made: dict[str, Path] = {}
    base = tmp_path_factory.mktemp("converted")

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = base / name
            convert(FIXTURES / name / "checkpoint.pt", made[name], bpe_dir=BPE, task="masked-lm")
        return made[name]

    return folder
