"""The proof: what the checkpoint computes, what the folder computes, and how far they are apart."""

from prenorm.proof.by_checkpoint import CheckpointBasis, prove_by_checkpoint
from prenorm.proof.by_golden import GoldenBasis
from prenorm.proof.checks.config import check_dtype
from prenorm.proof.checks.files import unjudged_files, unjudged_parts
from prenorm.proof.checks.folder_tokenizer import NO_TOKENIZER, not_judged, tokenizer_by_dictionary
from prenorm.proof.checks.weights import vocabulary_rows
from prenorm.proof.computation import Computation
from prenorm.proof.protocols import ReferenceModel, Runtime
from prenorm.proof.prove import Basis, JudgedFolder, prove
from prenorm.proof.references import open_reference
from prenorm.proof.references.golden import Golden, read_golden, write_golden
from prenorm.proof.references.recording import record_golden
from prenorm.proof.runtimes import CHOICES, open_runtime, require_installed

__all__ = [
    "CHOICES", "NO_TOKENIZER", "Basis", "CheckpointBasis", "Computation", "Golden", "GoldenBasis", "JudgedFolder",
    "ReferenceModel", "Runtime", "check_dtype", "not_judged", "open_reference", "open_runtime", "prove",
    "prove_by_checkpoint", "read_golden", "record_golden", "require_installed", "tokenizer_by_dictionary",
    "unjudged_files", "unjudged_parts", "vocabulary_rows", "write_golden",
]  # fmt: skip
