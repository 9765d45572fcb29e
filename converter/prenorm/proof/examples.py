"""What a masked LM fills into one sentence: numbers prove that two computations agree, a reader sees whether they make sense.

It is computed by the runtime that was compared, with the folder's own tokenizer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from prenorm.files import TOKENIZER_FILE
from prenorm.proof.protocols import Runtime, as_tensor
from prenorm.reports.details import Answer, Example
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, UNK

_ANSWERS = 3
_SENTENCES = (
    f"The capital of France is {MASK_TOKEN}.",
    f"The {MASK_TOKEN} is in the house.",
    f"it is a {MASK_TOKEN} .",
)
# Where the tokenizer knows no word of these: so many of the dictionary's most frequent tokens stand before the mask.
_FREQUENT = 3


def fill_mask(folder: Path, runtime: Runtime, rows: int, longest: int) -> Example | None:
    """Fill the mask of one short sentence, the first that the tokenizer knows all of.

    Args:
        folder: a folder with tokenizer.json.
        runtime: what computes its logits.
        rows: the dictionary's rows; rows behind them are never predicted.
        longest: the most tokens that the model takes.

    Returns:
        The sentence with the best answers, their probabilities rounded to three digits; None without a tokenizer that has
        a mask.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # the library raises nothing narrower; the check of the tokenizer says what is wrong
        return None
    mask = tokenizer.token_to_id(MASK_TOKEN)
    if mask is None:
        return None
    chosen = next((text for text in _sentences(tokenizer, rows) if _fits(tokenizer, text, mask, rows, longest)), None)
    if chosen is None:
        return None
    ids = np.array([tokenizer.encode(chosen).ids], dtype=np.int64)
    logits = as_tensor(runtime.run(ids, np.ones_like(ids), lambda name, parts: None))[
        0, ids[0].tolist().index(mask), :rows
    ]
    probabilities = torch.softmax(logits.double(), dim=-1).numpy()
    best = np.lexsort((np.arange(len(probabilities)), -probabilities))[:_ANSWERS].tolist()
    return Example(chosen, tuple(Answer(_word(tokenizer, row), round(float(probabilities[row]), 3)) for row in best))


def _sentences(tokenizer: Tokenizer, rows: int) -> list[str]:
    """Return the sentences, and one of the tokenizer's own tokens."""
    first = len(SPECIAL_TOKENS)
    frequent = tokenizer.decode(list(range(first, min(first + _FREQUENT, rows - 1))), skip_special_tokens=False)
    return [*_SENTENCES, f"{frequent.strip()} {MASK_TOKEN}".strip()]


def _fits(tokenizer: Tokenizer, text: str, mask: int, rows: int, longest: int) -> bool:
    """Return whether the tokenizer knows every token of a sentence with one mask, and the model takes it."""
    ids = tokenizer.encode(text).ids
    return ids.count(mask) == 1 and UNK not in ids and max(ids) < rows and len(ids) <= longest


def _word(tokenizer: Tokenizer, row: int) -> str:
    """Return a token as people read it."""
    text = tokenizer.decode([row], skip_special_tokens=False).strip()
    return text or tokenizer.id_to_token(row) or f"row {row}"
