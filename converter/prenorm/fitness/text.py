"""The tokenizer with the model: ids that the embedding has, text that comes back, and the longest text that gets through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from prenorm.fitness.finding import Finding, NotRun, Unfit
from prenorm.fitness.subject import Subject, outputs
from prenorm.options import TaskKind

_SENTENCES = ("the license", "You may copy it, and change it.", "Grüße, 你好 🙂!", "a  b\tc")
_WORDS = 200  # tokens of the vocabulary that are tried one by one
_SPECIAL = (("pad_token_id", "pad"), ("bos_token_id", "bos"), ("eos_token_id", "eos"))


def check_tokenizer(subject: Subject) -> Finding:
    """Loads, fits the embedding and config.json, frames a text as fairseq does, and gives it back."""
    tokenizer = subject.tokenizer
    problems = [*_sizes(subject, tokenizer), *_special_ids(subject, tokenizer), *_mask(subject, tokenizer)]
    tried, wrong = _round_trips(tokenizer)
    problems += [f"{text!r} comes back as {back!r}" for text, back in wrong]
    if not tried:
        problems.append("no text at all can be read: every token is <unk>")
    if problems:
        raise Unfit(problems)
    return Finding(f"{type(tokenizer).__name__}, {len(tokenizer.get_vocab())} tokens, {tried} texts there and back")


def _sizes(subject: Subject, tokenizer: Any) -> Iterator[str]:
    largest, rows = max(tokenizer.get_vocab().values()), subject.number("vocab_size")
    if largest >= rows:
        yield f"the tokenizer has ids up to {largest}, and the embedding has {rows} rows"


def _special_ids(subject: Subject, tokenizer: Any) -> Iterator[str]:
    for key, name in _SPECIAL:
        stated, own = subject.config.get(key), getattr(tokenizer, key)
        if stated != own:
            yield f"{key} is {stated} in config.json, and the tokenizer's {name} token has the id {own}"
    ids = tokenizer(_SENTENCES[0])["input_ids"]
    if (ids[0], ids[-1]) != (tokenizer.cls_token_id, tokenizer.sep_token_id):
        yield f"a text becomes {ids}, which does not begin with <s> and end with </s>"


def _mask(subject: Subject, tokenizer: Any) -> Iterator[str]:
    mask = tokenizer.mask_token_id
    if mask is None:
        if subject.kind is TaskKind.MASKED_LM:
            yield "the tokenizer has no mask token"
        return
    ids = tokenizer(f"the {tokenizer.mask_token} of it", add_special_tokens=False)["input_ids"]
    if ids.count(mask) != 1:
        yield f"'{tokenizer.mask_token}' in a text becomes {ids.count(mask)} mask tokens"
    if tokenizer(f"the{tokenizer.mask_token} of it", add_special_tokens=False)["input_ids"] != ids:
        yield f"the space before '{tokenizer.mask_token}' becomes a token, which the model has not seen in training"


def _round_trips(tokenizer: Any) -> tuple[int, list[tuple[str, str]]]:
    """How many texts could be tried (those that the vocabulary can write), and which came back as another text."""
    tried, wrong = 0, []
    for text in (*_SENTENCES, *_words(tokenizer)):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids or tokenizer.unk_token_id in ids:
            continue
        tried += 1
        back = tokenizer.decode(ids)
        if back.strip() != text.strip():
            wrong.append((text, back))
    return tried, wrong


def _words(tokenizer: Any) -> Iterator[str]:
    """Texts that single tokens stand for, spread over the vocabulary; pieces of characters are no texts."""
    special = set(tokenizer.all_special_ids)
    ordinary = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    for number in ordinary[:: max(1, len(ordinary) // _WORDS)]:
        text = tokenizer.decode([number])
        if text.strip() and "\ufffd" not in text:
            yield text


def check_longest_text(subject: Subject) -> Finding:
    """The model takes as many tokens as it has positions, and the tokenizer cuts a longer text to no more than that."""
    longest = subject.longest
    if not torch.isfinite(outputs(subject.model, subject.batch(longest))).all():
        raise Unfit([f"the outputs of {longest} tokens are not all finite"])
    try:
        tokenizer = subject.tokenizer
    except NotRun:
        return Finding(f"{longest} tokens; no tokenizer")
    limit = tokenizer.model_max_length
    if limit > longest:
        said = f"model_max_length is {limit}" if limit < 1 << 40 else "the tokenizer has no model_max_length"
        raise Unfit([f"{said}, and the model has positions for {longest} tokens: {_try_text(subject, longest + 1)}"])
    found = _try_text(subject, limit)
    if found:
        raise Unfit([f"a text of {limit} tokens: {found}"])
    return Finding(f"{longest} tokens; texts are cut to {limit}")


def _try_text(subject: Subject, length: int) -> str:
    """What comes of a text that is longer than `length` and cut to that; nothing where all is well."""
    tokenizer = subject.tokenizer
    batch = tokenizer([_SENTENCES[0] * length], truncation=True, max_length=length, return_tensors="pt")
    if batch["input_ids"].shape[1] != length:
        return f"it is cut to {batch['input_ids'].shape[1]}"
    given = dict(batch)
    if subject.kind is TaskKind.MULTIPLE_CHOICE:
        given = {name: item[None] for name, item in given.items()}
    try:
        finite = bool(torch.isfinite(outputs(subject.model, given)).all())
    except (IndexError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if finite else "its outputs are not all finite"
