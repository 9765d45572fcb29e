"""The one door to `model/`: makes sure that the `model` which is imported is ours."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from converter.errors import ShadowedPackage


def bundled_model() -> ModuleType:
    """The package `model` that is installed beside `converter`.

    Raises:
        ShadowedPackage: if another package of that name stands before it on the import path, naming where it is.
    """
    module = importlib.import_module("model")
    ours = Path(__file__).resolve().parent.parent / "model"
    found = Path(module.__file__).resolve().parent if module.__file__ else None
    if found != ours:
        places = found or ", ".join(map(str, getattr(module, "__path__", [])))
        raise ShadowedPackage(
            f"the Python package 'model' found on the import path is {places}, not prenorm's",
            advice="Run from another folder, or take its folder out of PYTHONPATH",
        )
    return module
