"""The package's face: what it imports, and when; which names it has; that no framework leaks into the common part."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import prenorm_model
from prenorm_model.config import ACTIVATIONS
from prenorm_model.torch.activations import FUNCTIONS

PACKAGE = Path(str(prenorm_model.__file__)).parent
FRAMEWORKS = ("torch", "keras", "flax")  # folders of the package; each may import what belongs to its framework
COMMON = sorted(path for path in PACKAGE.glob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def run(program: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_model_imports_nothing_it_must_not() -> None:
    allowed = {"safetensors", "huggingface_hub", "numpy", "ml_dtypes", "prenorm_model"}
    # What each framework's part may import besides; Keras' asks its backend about what Keras does not tell.
    own = {
        "torch": {"torch"},
        "keras": {"keras", "optree", "h5py", "torch", "jax"},
        "flax": {"jax", "flax", "msgpack"},
    }  # fmt: skip
    files = sorted(PACKAGE.rglob("*.py"))
    assert {path.parent.name for path in files} >= {"prenorm_model", *own}
    for path in files:
        for name in imported(path):
            top = name.partition(".")[0]
            assert top in allowed | own.get(path.parent.name, set()) or top in sys.stdlib_module_names, (path, name)


@pytest.mark.parametrize("path", COMMON, ids=[path.stem for path in COMMON])
def test_what_is_common_imports_no_framework(path: Path) -> None:
    """The package's `__init__` alone may name a framework's folder, for type checkers; it imports it on demand."""
    for name in imported(path):
        assert name.partition(".")[0] not in {"torch", "tensorflow", "keras", "jax", "flax"}, name
        if path.name != "__init__.py":
            assert not name.startswith(tuple(f"prenorm_model.{folder}" for folder in FRAMEWORKS)), name


@pytest.mark.parametrize("module", ["prenorm_model", *(f"prenorm_model.{path.stem}" for path in COMMON[1:])])
def test_common_modules_load_no_framework(module: str) -> None:
    loaded = run(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    heavy = {
        "torch",
        "tensorflow",
        "keras",
        "jax",
        "flax",
        "numpy",
        "huggingface_hub",
        "safetensors",
        "prenorm_model.torch",
    }
    assert not heavy & set(loaded)


def test_the_configuration_works_without_a_framework(tmp_path: Path) -> None:
    program = (
        "import sys; from prenorm_model import RobertaPreLayerNormConfig as Config; "
        f"Config(num_labels=3).save_pretrained({str(tmp_path)!r}); "
        f"print(Config.from_pretrained({str(tmp_path)!r}).num_labels, 'torch' in sys.modules)"
    )
    assert run(program) == "3 False\n"


def test_names_are_listed_before_they_are_imported() -> None:
    program = (
        "import sys, prenorm_model; names = dir(prenorm_model); print('torch' in sys.modules); "
        "print(sorted(set(prenorm_model.__all__) - set(names)))"
    )
    assert run(program) == "False\n[]\n"


def test_every_public_name_resolves() -> None:
    program = (
        "import sys; from prenorm_model import *; import prenorm_model, prenorm_model.torch as torch_part; "
        "print([name for name in prenorm_model.__all__ if name not in globals()]); "
        "print([name for name in torch_part.__all__ if getattr(prenorm_model, name) is not getattr(torch_part, name)])"
    )
    assert run(program) == "[]\n[]\n"
    assert len(set(prenorm_model.__all__)) == len(prenorm_model.__all__) == 16


@pytest.mark.parametrize(
    ("name", "missing", "needs", "extra"),
    [
        ("TFRobertaPreLayerNormModel", "keras", "keras and tensorflow", "tensorflow"),
        ("FlaxRobertaPreLayerNormModel", "jax", "flax and jax", "flax"),
        ("FlaxRobertaPreLayerNormForMaskedLM", "flax", "flax and jax", "flax"),
    ],
)
def test_a_framework_that_is_missing_is_named(name: str, missing: str, needs: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; import prenorm_model\n"
        f"try: prenorm_model.{name}\n"
        "except ImportError as error: print(error)"
    )
    assert run(program) == f"{name} needs {needs}; in the clone of prenorm: pip install '.[{extra}]'\n"


def test_names_of_the_frameworks_resolve_to_their_parts() -> None:
    from prenorm_model import flax as flax_part

    assert {name for name in dir(prenorm_model) if name.startswith("Flax")} == set(flax_part.__all__)
    assert all(getattr(prenorm_model, name) is getattr(flax_part, name) for name in flax_part.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'prenorm_model' has no attribute 'RobertaPostLayerNorm'"):
        _ = prenorm_model.RobertaPostLayerNorm
    assert not hasattr(prenorm_model, "ACTIVATIONS")
    with pytest.raises(ImportError):
        exec("from prenorm_model import RobertaPostLayerNorm")


def test_torch_has_a_function_for_every_activation() -> None:
    assert tuple(FUNCTIONS) == ACTIVATIONS


def test_the_model_knows_nothing_of_the_converter() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.partition(".")[0] == "prenorm" for name in imported(path)), path
