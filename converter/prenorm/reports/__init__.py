"""Reports of a proof or a trial: their data model, and the readable forms that are made from it.

from prenorm.reports import read, write_report

write_report(Path("parity.html"), read(Path("my-model/parity_report.json").read_bytes()))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prenorm.reports.details import Diagnosis, NoiseFloor, PositionLines
    from prenorm.reports.failure import NotJudged, ParityFailed
    from prenorm.reports.forms import SUFFIXES, check_suffix, render, write_report
    from prenorm.reports.model import Audit, AuditRow, Check, ModuleLine, Report
    from prenorm.reports.reading import read
    from prenorm.reports.schema import schema

__all__ = [
    "SUFFIXES", "Audit", "AuditRow", "Check", "Diagnosis", "ModuleLine", "NoiseFloor", "NotJudged", "ParityFailed",
    "PositionLines", "Report", "check_suffix", "read", "render", "schema", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `prenorm --help` must not wait for the data model."""
    homes = {"read": "reading", "schema": "schema"}
    homes |= dict.fromkeys(("NotJudged", "ParityFailed"), "failure")
    homes |= dict.fromkeys(("SUFFIXES", "check_suffix", "render", "write_report"), "forms")
    homes |= dict.fromkeys(("Diagnosis", "NoiseFloor", "PositionLines"), "details")
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{homes.get(name, 'model')}"), name)
