"""A folder's tokenizer against what was recorded of the right one: digests of its parts, and the ids of some texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer

from prenorm.errors import UnreadableCheckpoint
from prenorm.files import TOKENIZER_FILE
from prenorm.options.language import command_name
from prenorm.proof.checks.folder_tokenizer import FolderTokenizer, not_judged
from prenorm.proof.checks.tokenizer import CORPUS, merges_of, single_precision, unreadable, without_batching
from prenorm.proof.checks.tokenizer_companions import check_companions
from prenorm.reports.model import Check
from prenorm.tokenization import Tokenization, tokenizer_config

_NOT_RECORDED = (
    "the golden file holds nothing of a tokenizer; record it again with --bpe-dir, --sentencepiece or --words, or verify by "
    "CHECKPOINT"
)
# What a reader sets anew for every batch, and the file format's version.
_NO_PART = {"version", "truncation", "padding"}


def tokenizer_facts(tokenization: Tokenization, longest: int) -> dict[str, object]:
    """Return what is recorded of a tokenizer.

    Args:
        tokenization: the tokenizer.
        longest: how many tokens the model takes.

    Returns:
        Plain data: the texts, their ids and what those decode to, a digest for each part of tokenizer.json, and the content
        of tokenizer_config.json.
    """
    tokenizer = tokenization.build()
    encoded = [tokenizer.encode(text).ids for text in CORPUS]
    return {
        "kind": tokenization.kind.value,
        "library": tokenizers.__version__,
        "texts": list(CORPUS),
        "ids": encoded,
        "decoded": [tokenizer.decode(ids) for ids in encoded],
        "digests": _digests(tokenizer),
        "settings": tokenizer_config(tokenization, longest),
    }


def tokenizer_by_recording(folder: Path, facts: Mapping[str, Any] | None) -> FolderTokenizer:
    """Judge a folder's tokenizer by what was recorded of the right one.

    Args:
        folder: the folder.
        facts: what was recorded; None if nothing was.

    Returns:
        The check, or why it was not made.

    Raises:
        UnreadableCheckpoint: if what was recorded is not as `prenorm record` writes it.
    """
    if problem := unreadable(folder):
        return FolderTokenizer(problem=problem)
    if facts is None:
        return FolderTokenizer(rows=(not_judged(_NOT_RECORDED),))
    if not (folder / TOKENIZER_FILE).is_file():
        return FolderTokenizer(problem=f"there is no {TOKENIZER_FILE}")
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    batching = without_batching(tokenizer)
    try:
        recorded = list(zip(facts["texts"], facts["ids"], facts["decoded"], strict=True))
        wrong = [text for text, ids, back in recorded if not _agrees(tokenizer, text, ids, back)]
        sentences = [
            *batching,
            *_sentences(tokenizer, facts, wrong),
            *check_companions(folder, facts["settings"], tokenizer),
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnreadableCheckpoint(
            f"the golden file's tokenizer cannot be read ({error})",
            advice=f"Record it again, with {command_name('record')}",
        ) from error
    metrics = {"texts": len(recorded), "wrong": len(wrong), "disagreements": len(sentences)}
    return FolderTokenizer(recorded=(Check("tokenizer ids", not sentences, metrics), sentences))


def _agrees(tokenizer: Tokenizer, text: str, ids: list[int], back: str) -> bool:
    actual = tokenizer.encode(text).ids
    return actual == ids and tokenizer.decode(actual) == back


def _sentences(tokenizer: Tokenizer, facts: Mapping[str, Any], wrong: list[str]) -> Iterator[str]:
    """Yield a sentence for the texts, and one for each part that is another than was recorded.

    Another release of `tokenizers` may write a part otherwise that does the same; there the texts decide. Vocabulary, merges
    and scores are the same in every release.
    """
    if wrong:
        examples = ", ".join(repr(text[:60]) for text in wrong[:3])
        yield f"tokenizer: {len(wrong)} texts become other ids, or read otherwise, than was recorded, such as {examples}"
    digests = _digests(tokenizer)
    for part, digest in facts["digests"].items():
        comparable = part == "model" or facts["library"] == tokenizers.__version__
        if comparable and digests.get(part) != digest:
            yield f"tokenizer: its {part} is another than was recorded (SHA-256)"


def _digests(tokenizer: Tokenizer) -> dict[str, str]:
    """Return the SHA-256 of each part of tokenizer.json, in a form that the order of its keys does not change."""
    content = json.loads(tokenizer.to_str())
    content["model"] = _canonical(content["model"])
    return {
        part: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for part, value in sorted(content.items())
        if part not in _NO_PART
    }


def _canonical(model: Mapping[str, Any]) -> dict[str, object]:
    """Return a model's type, vocabulary, merges and scores (in 32 bits, as sentencepiece has them)."""
    vocabulary = model["vocab"]
    if not isinstance(vocabulary, dict):
        vocabulary = [[token, single_precision(score).hex()] for token, score in vocabulary]
    kept = {name: model.get(name) for name in ("type", "unk_token", "unk_id", "fuse_unk", "byte_fallback")}
    return {**kept, "vocab": vocabulary, "merges": merges_of(dict(model))}
