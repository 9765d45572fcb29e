"""prenorm: from fairseq's pre-LayerNorm RoBERTa checkpoints to Hugging Face folders, proven.

from converter import convert, inspect

result = convert("checkpoint_best.pt", "my-model", bpe_dir="gpt2_bpe")
print(result.report.verdict, result.report.checks[0].metrics["max_abs_diff"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.errors import PrenormError
    from converter.inspection import Inspection, inspect
    from converter.pipeline import Conversion, convert

__all__ = ["Conversion", "Inspection", "PrenormError", "convert", "inspect"]

_HOMES = {
    "Conversion": "converter.pipeline",
    "convert": "converter.pipeline",
    "Inspection": "converter.inspection",
    "inspect": "converter.inspection",
    "PrenormError": "converter.errors",
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first used: `prenorm --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'converter' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
