"""Where the fixtures, the sources and the other interpreters lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
SCRIPTS = TESTS / "helpers" / "scripts"
SOURCES = os.pathsep.join(str(ROOT / name) for name in ("converter", "model"))  # for an interpreter without prenorm
FIXTURES = ROOT / "fixtures"
BPE = FIXTURES / "gpt2_bpe"
# The fixtures that convert as masked LMs, each with the class that transformers loads its folder as.
ARCHITECTURES = {
    "dinkytrain-mlm": "RobertaPreLayerNormForMaskedLM",
    "dinkytrain-classification": "RobertaPreLayerNormForMaskedLM",
    "dinkytrain-deepspeed-fp16": "RobertaPreLayerNormForMaskedLM",
    "dinkytrain-no-embedding-norm": "XLMRobertaXLForMaskedLM",
    "fairseq-0.12.2-hydra": "RobertaPreLayerNormForMaskedLM",
}
CONVERTIBLE = tuple(ARCHITECTURES)
MLM = FIXTURES / "dinkytrain-mlm" / "checkpoint.pt"
PRENORM = str(Path(sys.executable).with_name("prenorm"))  # the installed command
FAIRSEQ_PYTHON = ROOT / ".venv-fairseq" / "bin" / "python"
OLD_TRANSFORMERS_PYTHON = ROOT / ".venv-transformers-4.57" / "bin" / "python"
OLD_HUB_PYTHON = ROOT / ".venv-hub-1" / "bin" / "python"
HUB_PYTHONS = {"2": Path(sys.executable), "1": OLD_HUB_PYTHON}  # by the release of huggingface_hub that they have
