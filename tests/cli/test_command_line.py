"""The command line: what goes where, JSON, quiet, progress, and that help is quick."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import run_command, run_installed, run_main
from helpers.paths import BPE, FIXTURES, MLM
from helpers.planted_faults import configure
from helpers.processor import children_seconds, within
from helpers.waiting import PATIENCE


def test_convert_shows_the_parity_table_and_the_folder(tmp_path: Path) -> None:
    done = run_command("convert", MLM, tmp_path / "out", "--bpe-dir", BPE)
    assert done.returncode == 0, done.stderr
    for part in ("logits", "modules", "tensors", "extra rows", "model.safetensors", "parity_report.json", "Passed"):
        assert part in done.stdout
    assert "vocabulary grows by 5 rows, to 438" in done.stderr


@pytest.mark.slow
def test_json_is_one_document_and_quiet_says_nothing(tmp_path: Path) -> None:
    done = run_command("convert", MLM, tmp_path / "out", "--bpe-dir", BPE, "--json")
    report = json.loads(done.stdout)
    assert (report["passed"], report["schema_version"], report["target"]["extra_rows"]) == (True, 1, 5)
    assert len(report["warnings"]) == 1
    quiet = run_command("convert", MLM, tmp_path / "quiet", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.slow
def test_report_is_written_whatever_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "parity.json"
    assert run_command("convert", MLM, tmp_path / "good", "--report", report).returncode == 0
    assert json.loads(report.read_text()) == json.loads((tmp_path / "good" / "parity_report.json").read_text())
    configure(layer_norm_eps=1e-12)(monkeypatch)
    assert run_main(monkeypatch, "convert", MLM, tmp_path / "bad", "--report", report, "--quiet") == 1
    content = json.loads(report.read_text())
    assert (content["passed"], content["first_divergence"]) == (False, "roberta_prelayernorm.embeddings")
    assert not (tmp_path / "bad").exists()
    done = run_command("convert", MLM, tmp_path / "out", "--report", tmp_path / "parity.pdf")
    assert (done.returncode, "suffix" in done.stderr) == (2, True)


def test_help_is_quick_and_says_the_defaults() -> None:
    def seconds() -> float:
        start = children_seconds()
        done = run_installed("--help")
        assert done.returncode == 0
        return children_seconds() - start

    assert within(min(seconds() for _ in range(5)), 0.3)
    for verb in ("inspect", "convert"):
        shown = run_installed(verb, "-h").stdout
        assert "[default" in shown


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, atexit; from prenorm.cli.main import main; "
        "heavy = ('torch', 'rich', 'huggingface_hub', 'numpy', 'safetensors', 'tokenizers', 'matplotlib'); "
        "atexit.register(lambda: print('loaded:', *[name for name in heavy if name in sys.modules])); "
        "sys.argv = ['prenorm', 'convert', '--help']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[-1] == "loaded:", done.stdout


def test_debug_shows_a_traceback(tmp_path: Path) -> None:
    done = run_command("--debug", "inspect", tmp_path / "none.pt")
    assert (done.returncode, "Traceback" in done.stderr) == (2, True)
    assert "Traceback" not in run_command("inspect", tmp_path / "none.pt").stderr


def test_debug_is_the_option_and_not_a_word_of_the_command_line(tmp_path: Path) -> None:
    """A value or an argument may be called so; and what cannot be parsed has no traceback worth showing."""
    named = run_command("inspect", "--bpe-dir", "--debug", tmp_path / "none.pt")
    assert (named.returncode, "Traceback" in named.stderr) == (2, False)
    argument = run_command("inspect", "--", "--debug", cwd=tmp_path)
    assert (argument.returncode, "Traceback" in argument.stderr) == (2, False)
    assert "--debug" in argument.stderr
    unparsed = run_command("--debug", "inspect", "--nonsense", tmp_path / "none.pt")
    assert (unparsed.returncode, "Traceback" in unparsed.stderr) == (2, False)


@pytest.mark.slow
def test_same_input_gives_the_same_folder(tmp_path: Path) -> None:
    folders = [tmp_path / name / "my-model" for name in ("one", "two")]  # the card has the folder's name
    for folder in folders:
        folder.parent.mkdir()
        assert run_command("convert", MLM, folder, "--bpe-dir", BPE, "--quiet").returncode == 0
    first, second = ({entry.name: entry.read_bytes() for entry in folder.iterdir()} for folder in folders)
    assert first == second


@pytest.mark.slow
def test_nothing_in_the_folder_names_this_machine(tmp_path: Path) -> None:
    import getpass
    import socket

    assert run_command("convert", MLM, tmp_path / "out", "--bpe-dir", BPE, "--quiet").returncode == 0
    for entry in (tmp_path / "out").iterdir():
        content = entry.read_bytes().decode("utf-8", "replace")
        words = (
            str(tmp_path),
            str(FIXTURES.parent),
            f"{getpass.getuser()}@",
            f"@{socket.gethostname()}",
            "/home/",
            "/root/",
        )
        assert not [word for word in words if word in content], entry.name


@pytest.mark.slow
def test_files_follow_the_umask(tmp_path: Path) -> None:
    assert run_command("convert", MLM, tmp_path / "out", "--bpe-dir", BPE, "--quiet", umask=0o027).returncode == 0
    modes = {entry.name: oct(entry.stat().st_mode & 0o777) for entry in (tmp_path / "out").iterdir()}
    assert set(modes.values()) == {"0o640"}, modes
    assert oct((tmp_path / "out").stat().st_mode & 0o777) == "0o750"


def test_inspect_does_not_wait_for_torch() -> None:
    program = (
        "import sys; from prenorm import inspect; from prenorm.cli import console; "
        f"inspect({str(MLM)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "False", done.stderr


def test_large_models_are_sharded_with_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForMaskedLM

    import prenorm.folder.files as folder

    monkeypatch.setattr(folder, "MAX_SHARD_BYTES", 100_000)
    assert run_main(monkeypatch, "convert", MLM, tmp_path / "out", "--bpe-dir", BPE, "--quiet") == 0
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in (tmp_path / "out").glob("model-*.safetensors"))
    assert len(shards) > 2
    assert sorted(set(index["weight_map"].values())) == shards
    assert not (tmp_path / "out" / "model.safetensors").exists()
    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values()), info
    assert sum(item.numel() * 4 for item in model.parameters()) == index["metadata"]["total_size"]
