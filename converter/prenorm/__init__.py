"""Convert RoBERTa checkpoints of fairseq and DinkyTrain to Hugging Face folders, with proof.

import prenorm

result = prenorm.convert("checkpoint_best.pt", "my-model", bpe_dir="gpt2_bpe")
print(result.report.verdict, result.report.checks[0].metrics["max_abs_diff"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prenorm.commands.convert import Conversion, convert
    from prenorm.commands.inspect import Inspection, inspect
    from prenorm.errors import PrenormError
    from prenorm.reports.failure import ParityFailed

__all__ = ["Conversion", "Inspection", "ParityFailed", "PrenormError", "convert", "inspect"]

_HOMES = {
    "Conversion": "prenorm.commands.convert",
    "convert": "prenorm.commands.convert",
    "Inspection": "prenorm.commands.inspect",
    "inspect": "prenorm.commands.inspect",
    "ParityFailed": "prenorm.reports.failure",
    "PrenormError": "prenorm.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `prenorm --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'prenorm' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
