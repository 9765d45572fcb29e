"""An installation: which names it adds, and that names of other people's code do not disturb it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import prenorm
from helpers.paths import MLM, PRENORM, ROOT
from helpers.waiting import PATIENCE

pytestmark = pytest.mark.slow

PACKAGES = {"prenorm": ROOT / "converter" / "prenorm", "prenorm_model": ROOT / "model" / "prenorm_model"}
_FOREIGN = "raise SystemExit('the wrong module was imported')"
_SCRIPT = f"""import sys
import prenorm
from prenorm_model import RobertaPreLayerNormForMaskedLM

prenorm.convert({str(MLM)!r}, "out")
RobertaPreLayerNormForMaskedLM.from_pretrained("out")
"""


def test_the_wheel_adds_two_names(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {*PACKAGES, f"prenorm-{prenorm.__version__}.dist-info"}
    for package, folder in PACKAGES.items():
        files = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyo")}
        expected = {f"{package}/{path.relative_to(folder).as_posix()}" for path in files}
        assert {name for name in names if name.split("/")[0] == package} == expected
    assert "prenorm/py.typed" in names


def foreign(folder: Path, form: str) -> None:
    """Modules or packages named as those that this project once had, which end whoever imports them."""
    for name in ("model", "converter"):
        if form == "module":
            (folder / f"{name}.py").write_text(_FOREIGN)
        else:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(_FOREIGN)


@pytest.mark.parametrize("form", ["module", "package"])
@pytest.mark.parametrize("way", ["command", "command, PYTHONPATH", "python -m", "script beside them"])
def test_modules_of_the_user_do_not_get_in_the_way(way: str, form: str, tmp_path: Path) -> None:
    foreign(tmp_path, form)
    environment = dict(os.environ)
    if way == "script beside them":
        (tmp_path / "convert_all.py").write_text(_SCRIPT)
        command = [sys.executable, str(tmp_path / "convert_all.py")]
    elif way == "python -m":
        command = [sys.executable, "-m", "prenorm", "convert", str(MLM), "out"]
    else:
        command = [PRENORM, "convert", str(MLM), "out"]
    if "PYTHONPATH" in way:
        environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "config.json").exists()


def test_public_names_are_there_and_imported_when_used() -> None:
    program = (
        "import sys, prenorm; heavy = {'torch', 'rich', 'huggingface_hub', 'numpy', 'click'}; "
        "print(sorted(heavy & set(sys.modules))); "
        "print([name for name in prenorm.__all__ if getattr(prenorm, name) is None]); "
        "print(set(prenorm.__all__) - set(dir(prenorm)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.split("\n")[:3] == ["[]", "[]", "set()"], done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        prenorm.nothing  # noqa: B018
