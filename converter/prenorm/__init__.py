"""Convert RoBERTa checkpoints of fairseq and DinkyTrain to Hugging Face folders, with proof.

import prenorm

result = prenorm.convert("checkpoint_best.pt", "my-model", bpe_dir="gpt2_bpe")
print(result.report.verdict, result.report.check("logits").metrics["max_abs_diff"])

Each function does what the command of the same name does, and takes its options as keywords: `help(prenorm.convert)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prenorm.commands.convert import Conversion, convert
    from prenorm.commands.inspect import inspect
    from prenorm.commands.inspection import Inspection
    from prenorm.commands.push import push
    from prenorm.commands.record import record
    from prenorm.commands.run.command import convert_run
    from prenorm.commands.verify import verify
    from prenorm.errors import (
        HubProblem,
        NotProven,
        NotRepresentable,
        PrenormError,
        UnreadableCheckpoint,
        UsageProblem,
    )
    from prenorm.hub.push import Pushed
    from prenorm.progress import Progress
    from prenorm.proof.references.golden import Golden
    from prenorm.reports.failure import NotJudged, ParityFailed
    from prenorm.reports.model import Report
    from prenorm.reports.run_model import RunReport

    __version__: str

__all__ = [
    "Conversion", "Golden", "HubProblem", "Inspection", "NotJudged", "NotProven", "NotRepresentable", "ParityFailed",
    "PrenormError", "Progress", "Pushed", "Report", "RunReport", "UnreadableCheckpoint", "UsageProblem", "__version__",
    "convert", "convert_run", "inspect", "push", "record", "verify",
]  # fmt: skip

_HOMES = {
    "Conversion": "prenorm.commands.convert",
    "Golden": "prenorm.proof.references.golden",
    "Inspection": "prenorm.commands.inspection",
    "NotJudged": "prenorm.reports.failure",
    "ParityFailed": "prenorm.reports.failure",
    "Progress": "prenorm.progress",
    "Pushed": "prenorm.hub.push",
    "Report": "prenorm.reports.model",
    "RunReport": "prenorm.reports.run_model",
    "convert": "prenorm.commands.convert",
    "convert_run": "prenorm.commands.run.command",
    "inspect": "prenorm.commands.inspect",
    "push": "prenorm.commands.push",
    "record": "prenorm.commands.record",
    "verify": "prenorm.commands.verify",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `prenorm --help` must not wait for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("prenorm")
    if name not in __all__:
        raise AttributeError(f"module 'prenorm' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES.get(name, "prenorm.errors")), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
