"""transformers' tests, from the source distribution that the package registry has of the installed version.

Downloaded once into an ignored folder, and never part of this repository.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import transformers

from helpers.paths import TESTS

CACHE = TESTS.parent / ".peer"
PACKAGE = "transformers_tests"
# What the published tests import and the distribution does not hold: mixins of ours to inherit from, empty.
_ABSENT = {
    "exporters.test_export": {"ExportTesterMixin": type("ExportTesterMixin", (), {})},
    "generation.test_utils": {"GenerationTesterMixin": type("GenerationTesterMixin", (), {})},
    "utils.test_configuration_utils": {"config_common_kwargs": {}},
}


def folder() -> Path:
    """Return the folder of the tests; download it where it is not there."""
    tests = CACHE / f"transformers-{transformers.__version__}" / "tests"
    if not tests.exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(CACHE),
             f"transformers=={transformers.__version__}"],
            check=True,
        )  # fmt: skip
        with tarfile.open(CACHE / f"transformers-{transformers.__version__}.tar.gz") as archive:
            wanted = [item for item in archive.getmembers() if item.name.split("/")[1:2] == ["tests"]]
            archive.extractall(CACHE, members=wanted, filter="data")
        (tests / "__init__.py").touch()
    return tests


def load(name: str) -> ModuleType:
    """Return one of the modules, `test_modeling_common` for instance."""
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, folder() / "__init__.py", submodule_search_locations=[str(folder())]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[PACKAGE])
        for path, contents in _ABSENT.items():
            for part in (path.partition(".")[0], path):
                module = sys.modules.setdefault(f"{PACKAGE}.{part}", ModuleType(f"{PACKAGE}.{part}"))
                module.__path__ = []
            vars(module).update(contents)
    return importlib.import_module(f"{PACKAGE}.{name}")


if __name__ == "__main__":
    folder()
