"""GPT-2's repo on the loopback Hub, with the fixtures' small BPE in place of its files."""

from __future__ import annotations

import hashlib

from helpers.paths import BPE, MLM
from prenorm.tokenization import gpt2
from prenorm.tokenization.dictionary import read_dictionary
from prenorm.tokenization.kinds import meaningful_symbols

from .hub import Hub

FILES = {"vocab.json": (BPE / "encoder.json").read_bytes(), "merges.txt": (BPE / "vocab.bpe").read_bytes()}


def seeded(hub: Hub, *, published: bool) -> dict[str, object]:
    """Puts the files there, and gives what prenorm must hold for GPT-2's commit and sums to fit them.

    Args:
        hub: gets the repo.
        published: whether the fixtures' dictionary is to be taken for the one that fairseq publishes.
    """
    constants = {
        "COMMIT": hub.seed(gpt2.REPO_ID, FILES).oid,
        "FILES": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    }
    if published:
        lines = meaningful_symbols(read_dictionary(MLM.with_name("dict.txt")))
        constants["DICTIONARY_SHA256"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {f"{gpt2.__name__}.{name}": value for name, value in constants.items()}
