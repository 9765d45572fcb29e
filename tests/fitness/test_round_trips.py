"""Texts there and back: what a kind of tokenizer folds by design is no fault, and everything else is one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from helpers.tokenizer_cases import KINDS, PIECES_BPE, UNIGRAM, planned
from prenorm.fitness.candidate import Candidate
from prenorm.fitness.finding import Unfit
from prenorm.fitness.text import check_tokenizer
from prenorm.options import TaskKind
from prenorm.tokenization import tokenizer_config
from prenorm.tokenization.sentencepiece.charsmap import write_charsmap

pytestmark = pytest.mark.slow

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def written() -> dict[str, tuple[Settings, Settings]]:
    """tokenizer.json and tokenizer_config.json of every kind."""
    tokenizers = {name: planned(folder / "dict.txt", **options) for name, (folder, options, _, _) in KINDS.items()}
    return {name: (json.loads(item.build().to_str()), tokenizer_config(item, 20)) for name, item in tokenizers.items()}


def judge(tokenizer: Settings, config: Settings, folder: Path) -> list[str]:
    """The problems that the check names."""
    Tokenizer.from_str(json.dumps(tokenizer)).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    candidate = SimpleNamespace(
        tokenizer=AutoTokenizer.from_pretrained(folder), kind=TaskKind.MASKED_LM, number=lambda _: 1 << 20,
        config={"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    )  # fmt: skip
    try:
        check_tokenizer(cast(Candidate, candidate))
    except Unfit as unfit:
        return list(unfit.problems)
    return []


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_tokenizers_pass(kind: str, written: dict[str, tuple[Settings, Settings]], tmp_path: Path) -> None:
    assert judge(*written[kind], tmp_path) == []


@pytest.mark.parametrize("model", [UNIGRAM, PIECES_BPE])
@pytest.mark.parametrize("edit", ["spaces kept", "lower case"])
def test_other_designs_of_sentencepiece_pass(model: Path, edit: str, tmp_path: Path) -> None:
    """`remove_extra_whitespaces` off, and a table that folds case."""
    item = planned(model / "dict.txt", sentencepiece=model / "sentencepiece.model")
    tokenizer = json.loads(item.build().to_str())
    steps = tokenizer["normalizer"]["normalizers"]
    if edit == "spaces kept":
        steps[:] = [step for step in steps if step != replaced(" {2,}", " ", regex=True)]
    else:
        table = {chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
        steps.insert(
            0, {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(write_charsmap(table)).decode()}
        )
    assert judge(tokenizer, tokenizer_config(item, 20), tmp_path) == []


def replaced(pattern: str, content: str, *, regex: bool = False) -> Settings:
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": pattern}, "content": content}


def without_decoder(tokenizer: Settings) -> None:
    tokenizer["decoder"] = None


def normalized_first(step: Settings) -> Callable[[Settings], None]:
    def plant(tokenizer: Settings) -> None:
        old = tokenizer["normalizer"]
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [step, *([old] if old else [])]}

    return plant


def decoded_last(step: Settings) -> Callable[[Settings], None]:
    def plant(tokenizer: Settings) -> None:
        tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"], step]}

    return plant


LOWER = normalized_first({"type": "Lowercase"})
FAULTS: list[tuple[str, Callable[[Settings], None]]] = [
    ("gpt2", normalized_first(replaced(" {2,}", " ", regex=True))),
    ("gpt2", without_decoder),
    ("gpt2", LOWER),
    ("unigram", without_decoder),
    ("unigram", LOWER),
    ("unigram", normalized_first(replaced(" ", ""))),
    ("unigram", decoded_last(replaced(" ", "  "))),
    ("unigram", decoded_last(replaced(" ", ""))),
    ("unigram", normalized_first(replaced("e", "a"))),
    ("bpe", decoded_last(replaced(" ", ""))),
    ("bpe", LOWER),
    ("bpe", normalized_first({"type": "StripAccents"})),
    ("words", LOWER),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_faults_are_seen(number: int, written: dict[str, tuple[Settings, Settings]], tmp_path: Path) -> None:
    kind, plant = FAULTS[number]
    tokenizer, config = written[kind]
    tokenizer = json.loads(json.dumps(tokenizer))
    plant(tokenizer)
    assert judge(tokenizer, config, tmp_path)
