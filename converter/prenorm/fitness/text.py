"""The tokenizer with the model: ids that the embedding has, text that comes back, and the longest text that gets through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from tokenizers import Tokenizer, normalizers

from prenorm.fitness.candidate import Candidate, outputs
from prenorm.fitness.finding import Finding, NotRun, Unfit, refuse
from prenorm.options import TaskKind

_SENTENCES = ("the license", "You may copy it, and change it.", "Grüße, 你好 🙂!", "the  license", "a  b\tc")
_WORDS = 200  # tokens of the vocabulary that are tried one by one
_SPECIAL = (("pad_token_id", "pad"), ("bos_token_id", "bos"), ("eos_token_id", "eos"))


def check_tokenizer(candidate: Candidate) -> Finding:
    """Check that the tokenizer fits the embedding and config.json, frames a text as fairseq does, and decodes it again.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if the folder has no tokenizer.
    """
    tokenizer = candidate.tokenizer
    problems = [*_sizes(candidate, tokenizer), *_special_ids(candidate, tokenizer), *_mask(candidate, tokenizer)]
    tried, wrong = _round_trips(tokenizer)
    problems += [f"{text!r} comes back as {back!r}" for text, back in wrong]
    if not tried:
        problems.append("no text at all can be read: every token is <unk>")
    refuse(problems)
    return Finding(f"{type(tokenizer).__name__}, {len(tokenizer.get_vocab())} tokens, {tried} texts there and back")


def _sizes(candidate: Candidate, tokenizer: Any) -> Iterator[str]:
    largest, rows = max(tokenizer.get_vocab().values()), candidate.number("vocab_size")
    if largest >= rows:
        yield f"the tokenizer has ids up to {largest}, and the embedding has {rows} rows"


def _special_ids(candidate: Candidate, tokenizer: Any) -> Iterator[str]:
    for key, name in _SPECIAL:
        stated, number = candidate.config.get(key), getattr(tokenizer, key)
        if stated != number:
            yield f"{key} is {stated} in config.json, and the tokenizer's {name} token has the id {number}"
    ids = tokenizer(_SENTENCES[0])["input_ids"]
    if (ids[0], ids[-1]) != (tokenizer.cls_token_id, tokenizer.sep_token_id):
        yield f"a text becomes {ids}, which does not begin with <s> and end with </s>"


def _mask(candidate: Candidate, tokenizer: Any) -> Iterator[str]:
    mask = tokenizer.mask_token_id
    if mask is None:
        if candidate.kind is TaskKind.MASKED_LM:
            yield "the tokenizer has no mask token"
        return
    ids = tokenizer(f"the {tokenizer.mask_token} of it", add_special_tokens=False)["input_ids"]
    if ids.count(mask) != 1:
        yield f"'{tokenizer.mask_token}' in a text becomes {ids.count(mask)} mask tokens"
    if tokenizer(f"the{tokenizer.mask_token} of it", add_special_tokens=False)["input_ids"] != ids:
        yield f"the space before '{tokenizer.mask_token}' becomes a token, which the model has not seen in training"


def _round_trips(tokenizer: Any) -> tuple[int, list[tuple[str, str]]]:
    """Return how many texts could be tried (those that the vocabulary can write), and which came back as another text."""
    tried, wrong = 0, []
    backend = getattr(tokenizer, "backend_tokenizer", None)
    settings = json.loads(backend.to_str()) if isinstance(backend, Tokenizer) else {}
    keeps_white_space = "ByteLevel" in {step["type"] for step in _steps(settings.get("pre_tokenizer"))}
    table = _sentencepiece_table(settings.get("normalizer"))
    for text in (*_SENTENCES, *_words(tokenizer)):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids or tokenizer.unk_token_id in ids:
            continue
        tried += 1
        back = tokenizer.decode(ids)
        expected = {form.strip() for form in (text, table.normalize_str(text))}
        if not keeps_white_space and text.split() != text.split(" "):
            # Sentencepiece and words fold or drop white space other than single spaces: the models were trained so.
            back, expected = _joined(back), {_joined(form) for form in expected}
        if back.strip() not in expected:
            wrong.append((text, back))
    return tried, wrong


def _joined(text: str) -> str:
    return "".join(text.split())


def _steps(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the steps of a normalizer or pre-tokenizer of tokenizer.json, those of a sequence one by one."""
    if part is None:
        return
    children = part.get("normalizers") or part.get("pretokenizers") or ()
    if not children:
        yield part
    for child in children:
        yield from _steps(child)


def _sentencepiece_table(part: dict[str, Any] | None) -> normalizers.Normalizer:
    """Return the part of a normalizer that is a sentencepiece model's own table, which may fold case and compatible forms.

    NFKC belongs to it where prenorm wrote the tokenizer; steps of other kinds are no part of any such model.
    """
    steps = list(_steps(part))
    if not any(step["type"] == "Precompiled" for step in steps):
        return normalizers.Sequence([])
    of_model = [step for step in steps if step["type"] in ("Precompiled", "NFKC")]
    made = Tokenizer.from_str(json.dumps(_EMPTY | {"normalizer": {"type": "Sequence", "normalizers": of_model}}))
    table: normalizers.Normalizer = made.normalizer
    return table


# tokenizer.json without anything in it
_EMPTY: dict[str, Any] = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
    "post_processor": None, "decoder": None, "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""},
}  # fmt: skip


def _words(tokenizer: Any) -> Iterator[str]:
    """Yield texts that single tokens stand for, spread over the vocabulary, except parts of characters."""
    special = set(tokenizer.all_special_ids)
    ordinary = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    for number in ordinary[:: max(1, len(ordinary) // _WORDS)]:
        text = tokenizer.decode([number])
        if text.strip() and "\ufffd" not in text:
            yield text


def check_longest_text(candidate: Candidate) -> Finding:
    """Check that the model takes as many tokens as it has positions, and the tokenizer cuts longer texts to at most that.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    longest = candidate.longest
    if not torch.isfinite(outputs(candidate.model, candidate.batch(longest))).all():
        raise Unfit([f"the outputs of {longest} tokens are not all finite"])
    try:
        tokenizer = candidate.tokenizer
    except NotRun:
        return Finding(f"{longest} tokens; no tokenizer")
    limit = tokenizer.model_max_length
    if limit > longest:
        limits = f"model_max_length is {limit}" if limit < 1 << 40 else "the tokenizer has no model_max_length"
        raise Unfit(
            [f"{limits}, and the model has positions for {longest} tokens: {_try_text(candidate, longest + 1)}"]
        )
    problem = _try_text(candidate, limit)
    if problem:
        raise Unfit([f"a text of {limit} tokens: {problem}"])
    return Finding(f"{longest} tokens; texts are cut to {limit}")


def _try_text(candidate: Candidate, length: int) -> str:
    """Cut a long text to `length` tokens, compute it, and return what is wrong; an empty text if nothing is."""
    tokenizer = candidate.tokenizer
    batch = tokenizer([_SENTENCES[0] * length], truncation=True, max_length=length, return_tensors="pt")
    if batch["input_ids"].shape[1] != length:
        return f"it is cut to {batch['input_ids'].shape[1]}"
    inputs = dict(batch)
    if candidate.kind is TaskKind.MULTIPLE_CHOICE:
        inputs = {name: item[None] for name, item in inputs.items()}
    try:
        finite = bool(torch.isfinite(outputs(candidate.model, inputs)).all())
    except (IndexError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if finite else "its outputs are not all finite"
