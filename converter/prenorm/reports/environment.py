"""The versions that the numbers of a report depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

_PACKAGES = ("prenorm", "torch", "safetensors", "tokenizers", "numpy")


def environment() -> dict[str, str]:
    """Return the versions of Python and of what computes; nothing in it names a machine or a user.

    Returns:
        Version by name, 'python' first.
    """
    return {"python": platform.python_version(), **{name: package_version(name) for name in _PACKAGES}}


@cache
def package_version(name: str) -> str:
    """Return the version of an installed distribution.

    Args:
        name: the distribution's name.

    Returns:
        Its version, or 'unknown' where it is not installed.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
