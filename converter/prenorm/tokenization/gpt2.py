"""GPT-2's own byte-level BPE: where it is published, and how the dictionary that fairseq publishes with it is recognized."""

from __future__ import annotations

import hashlib
from pathlib import Path

from prenorm.options import GPT2
from prenorm.tokenization.dictionary import Dictionary
from prenorm.tokenization.kinds import meaningful_symbols

# What --bpe-dir takes instead of a folder.
NAME = GPT2
REPO_ID = "openai-community/gpt2"
COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
# Of the files that OpenAI published, as tiktoken (openai_public.py) states it for encoder.json and vocab.bpe: the repo's
# files are the same bytes under other names.
MERGES_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
FILES = {
    "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "merges.txt": MERGES_SHA256,
}
# Of the lines of fairseq's gpt2_bpe/dict.txt without their counts and without those that fill it up: all 50,257 numbers by
# how frequent they were. Training with --srcdict, as fairseq's RoBERTa recipe does, keeps their order.
DICTIONARY_SHA256 = "f03de96f95eee00f82128db3d89d38254c744207ea95870d5ae9f2929b0b0e71"


def is_name(bpe_dir: Path | None) -> bool:
    """Return whether a value of --bpe-dir means GPT-2's published files.

    Args:
        bpe_dir: what the user wrote.

    Returns:
        False for a folder that exists, whatever its name.
    """
    return bpe_dir is not None and str(bpe_dir) == NAME and not bpe_dir.exists()


def is_published_dictionary(dictionary: Dictionary) -> bool:
    """Return whether a dictionary is the one that fairseq publishes with GPT-2's BPE.

    A dictionary of one's own text has another order, and so has one of another BPE's numbers: neither is taken for it.

    Args:
        dictionary: fairseq's dictionary.

    Returns:
        True if its numbers are the same, in the same order; tokens that a user added in brackets do not count.
    """
    lines = "\n".join(meaningful_symbols(dictionary))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest() == DICTIONARY_SHA256
