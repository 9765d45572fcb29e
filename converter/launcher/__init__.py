"""The entry point of the command `prenorm`, installed as the package `prenorm`.

The packages `converter` and `model` have common names, and fairseq users keep folders of those names on PYTHONPATH. This
package's own name is not common. It loads the two from where they were installed, beside this file, so that nothing on the
import path can stand in for them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    """Runs the command line."""
    for name in ("model", "converter"):
        _load_own(name)
    from converter.cli import main as command

    command()


def _load_own(name: str) -> None:
    """Makes `import name` mean the package that was installed with this one."""
    here = Path(__file__).resolve().parent
    # Installed, the packages are siblings; in a checkout, this file is converter/launcher/__init__.py.
    homes = (here.parent / name, here.parent.parent / name)
    folder = next(home for home in homes if (home / "__init__.py").is_file() and (home / "py.typed").is_file())
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"prenorm's own package '{name}' cannot be loaded from {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if name == "model":
        # Not executed yet: it imports torch, and `prenorm --help` must not wait for it.
        loader = importlib.util.LazyLoader(spec.loader)
        spec.loader = loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
    else:
        spec.loader.exec_module(module)
