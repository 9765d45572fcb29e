"""The entry point of the command `prenorm`."""

from __future__ import annotations

from prenorm.cli.app import main

__all__ = ["main"]
