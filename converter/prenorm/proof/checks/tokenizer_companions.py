"""The files beside tokenizer.json that readers take settings, special tokens or the vocabulary from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from prenorm.files import TOKENIZER_CONFIG_FILE

SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE = "special_tokens_map.json", "added_tokens.json"
VOCABULARY_FILE, MERGES_FILE = "vocab.json", "merges.txt"
# What is judged here besides tokenizer_config.json.
COMPANIONS = (SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE, VOCABULARY_FILE, MERGES_FILE)
_MOST_BYTES = 256 << 20
# Classes that take tokenizer.json as it is, or at least its vocabulary, by the start of their names.
_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend", "Roberta", "XLMRoberta", "Camembert", "GPT2")


def check_companions(folder: Path, expected: Mapping[str, Any], tokenizer: Tokenizer) -> Iterator[str]:
    """Hold the files beside tokenizer.json against what a folder of `convert` says, and against tokenizer.json.

    Args:
        folder: the folder.
        expected: the content of its tokenizer_config.json as `convert` writes it.
        tokenizer: tokenizer.json, read.

    Yields:
        A sentence for each disagreement.
    """
    try:
        settings = _read(folder / TOKENIZER_CONFIG_FILE) or {}
        yield from _check_settings(settings, expected)
        yield from _check_special_tokens(SPECIAL_TOKENS_FILE, _read(folder / SPECIAL_TOKENS_FILE) or {}, expected)
        yield from _check_vocabulary(folder, tokenizer)
    except ValueError as error:
        yield f"tokenizer: {error}"


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON object's file, None if there is no such file; raise ValueError naming another one."""
    if not path.is_file():
        return None
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path.name} is too large")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is no JSON") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return content


def _check_settings(settings: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each setting of tokenizer_config.json with which texts become other ids, or read otherwise."""
    if settings.get("add_prefix_space") and expected.get("add_prefix_space") is False:
        yield "tokenizer: add_prefix_space is true; fairseq adds no space before a text"
    if settings.get("clean_up_tokenization_spaces"):
        yield "tokenizer: clean_up_tokenization_spaces is true, which changes what is decoded"
    limit, longest = settings.get("model_max_length"), expected["model_max_length"]
    if isinstance(limit, int | float) and limit > longest and limit < 1e9:
        yield f"tokenizer: model_max_length is {limit}, and the model takes {longest} tokens"
    name = settings.get("tokenizer_class")
    if name is not None and not str(name).startswith(_CLASSES):
        yield f"tokenizer: tokenizer_class is {name}, which reads another kind of tokenizer"
    yield from _check_special_tokens(TOKENIZER_CONFIG_FILE, settings, expected)


def _check_special_tokens(file: str, stated: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each special token that a file names otherwise than the folder of `convert` does."""
    for name, wanted in expected.items():
        if not name.endswith("_token") or stated.get(name) is None:
            continue
        if _content(stated[name]) != _content(wanted):
            yield f"tokenizer: {name} is {_content(stated[name])} in {file}, must be {_content(wanted)}"


def _content(token: Any) -> Any:
    """Return the text of a special token, which may stand with its properties."""
    return token.get("content") if isinstance(token, dict) else token


def _check_vocabulary(folder: Path, tokenizer: Tokenizer) -> Iterator[str]:
    """Yield a sentence for each file of the vocabulary that is not tokenizer.json's, for those who read it instead."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    for name in (ADDED_TOKENS_FILE, VOCABULARY_FILE):
        content = _read(folder / name)
        wrong = [token for token, row in (content or {}).items() if vocabulary.get(token) != row]
        if content is not None and name == VOCABULARY_FILE:
            wrong += [token for token in tokenizer.get_vocab(with_added_tokens=False) if token not in content]
        if wrong:
            yield f"tokenizer: {len(wrong)} tokens of {name} have other ids than in tokenizer.json, such as '{wrong[0]}'"
    merges = folder / MERGES_FILE
    if merges.is_file() and merges.stat().st_size <= _MOST_BYTES:
        lines = merges.read_text(encoding="utf-8", errors="replace").split("\n")
        stated = [line for line in lines if line.strip() and not line.startswith("#version")]
        pairs = json.loads(tokenizer.to_str())["model"].get("merges", [])
        wanted = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
        if stated != wanted:
            yield f"tokenizer: {MERGES_FILE} has {len(stated)} merges, and they are not the {len(wanted)} of tokenizer.json"
