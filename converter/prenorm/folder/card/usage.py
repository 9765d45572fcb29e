"""The card's code: for transformers and for the bundled model. Every block runs as it stands, in the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prenorm.options import AUTO_CLASSES, TaskKind
from prenorm.source.positions import USUAL_PAD_ID
from prenorm.tokenization.dictionary import MASK_TOKEN

if TYPE_CHECKING:
    from prenorm.mapping.plan import ConversionPlan

_HERE = 'model_id = "."  # this folder: its path, or its name on the Hub'
_SENTENCE = f"The capital of France is {MASK_TOKEN}."


def usage(plan: ConversionPlan, *, has_tokenizer: bool, repo_id: str | None = None) -> list[str]:
    """The section with code."""
    theirs = _WITH_TOKENIZER[plan.task.kind](plan) if has_tokenizer else _without_tokenizer(plan)
    lines = [
        "## Use",
        "",
        "```python",
        *theirs,
        "```",
        "",
        "Without transformers, with the model in plain PyTorch that prenorm brings (`pip install prenorm`):",
        "",
        "```python",
        *_bundled(plan, has_tokenizer),
        "```",
        "",
    ]
    text = "\n".join(lines)
    return (text if repo_id is None else at_repo(text, repo_id)).split("\n")


def at_repo(card: str, repo_id: str) -> str:
    """`card` with `repo_id` in its code in place of the folder.

    Args:
        repo_id: `org/name`, checked.
    """
    return card.replace(_HERE, f'model_id = "{repo_id}"')


def _fill_mask(plan: ConversionPlan) -> list[str]:
    return [
        "from transformers import pipeline",
        "",
        _HERE,
        'fill_mask = pipeline("fill-mask", model=model_id)',
        f'for guess in fill_mask("{_SENTENCE}"):',
        "    print(f\"{guess['score']:.3f} {guess['token_str']}\")",
    ]


def _classify(plan: ConversionPlan) -> list[str]:
    # The pipeline would put a lone number through a sigmoid, which the training did not.
    raw = ', function_to_apply="none"' if plan.task.regression else ""
    return [
        "from transformers import pipeline",
        "",
        _HERE,
        f'classify = pipeline("text-classification", model=model_id, top_k=None{raw})',
        'print(classify("A text to classify."))',
        'print(classify({"text": "The first of a pair.", "text_pair": "The second."}))',
    ]


def _choose(plan: ConversionPlan) -> list[str]:
    return [
        "import torch",
        "from transformers import AutoModelForMultipleChoice, AutoTokenizer",
        "",
        _HERE,
        "tokenizer = AutoTokenizer.from_pretrained(model_id)",
        "model = AutoModelForMultipleChoice.from_pretrained(model_id)",
        'choices = ["One text to choose from.", "Another."]',
        'batch = tokenizer(choices, padding=True, return_tensors="pt")',
        "with torch.no_grad():  # [1, choices, tokens]",
        "    scores = model(**{name: values.unsqueeze(0) for name, values in batch.items()}).logits[0]",
        "print(choices[scores.argmax()])",
    ]


def _encode(plan: ConversionPlan) -> list[str]:
    return [
        "import torch",
        "from transformers import AutoModel, AutoTokenizer",
        "",
        _HERE,
        "tokenizer = AutoTokenizer.from_pretrained(model_id)",
        "model = AutoModel.from_pretrained(model_id, add_pooling_layer=False)",
        'batch = tokenizer(["A text.", "Another, longer one."], padding=True, return_tensors="pt")',
        "with torch.no_grad():",
        "    states = model(**batch).last_hidden_state  # [texts, tokens, width]",
        'mask = batch["attention_mask"].unsqueeze(-1)',
        "print((states * mask).sum(1) / mask.sum(1))  # one vector for each text: the mean of its tokens",
    ]


_WITH_TOKENIZER = {
    TaskKind.MASKED_LM: _fill_mask,
    TaskKind.SEQUENCE_CLASSIFICATION: _classify,
    TaskKind.MULTIPLE_CHOICE: _choose,
    TaskKind.ENCODER: _encode,
}


def _without_tokenizer(plan: ConversionPlan) -> list[str]:
    auto = AUTO_CLASSES[plan.task.kind]
    return [
        "import torch",
        f"from transformers import {auto}",
        "",
        _HERE,
        f"model = {auto}.from_pretrained(model_id{_options(plan)})",
        *_call_on_ids(plan),
    ]


def _bundled(plan: ConversionPlan, has_tokenizer: bool) -> list[str]:
    bundled = plan.target.bundled_classes[plan.task.kind]
    load = f"model = {bundled}.from_pretrained(model_id{_options(plan)})"
    if not has_tokenizer:
        return ["import torch", f"from prenorm_model import {bundled}", "", _HERE, load, *_call_on_ids(plan)]
    return [
        "import torch",
        f"from prenorm_model import {bundled}",
        "from prenorm_model.hub import find_file",
        "from tokenizers import Tokenizer",
        "",
        _HERE,
        load,
        'tokenizer = Tokenizer.from_file(str(find_file(model_id, "tokenizer.json")))',
        *_call_on_text(plan.task.kind),
    ]


def _call_on_text(kind: TaskKind) -> list[str]:
    if kind is TaskKind.MASKED_LM:
        return [
            f'ids = torch.tensor([tokenizer.encode("{_SENTENCE}").ids])',
            f'masked = ids[0] == tokenizer.token_to_id("{MASK_TOKEN}")',
            "with torch.no_grad():",
            "    best = model(ids).logits[0, masked].argmax(-1)",
            "print(tokenizer.decode(best.tolist(), skip_special_tokens=False))",
        ]
    if kind is TaskKind.MULTIPLE_CHOICE:
        return [
            "tokenizer.enable_padding(pad_id=model.config.pad_token_id)",
            'batch = tokenizer.encode_batch(["One text to choose from.", "Another."])',
            'ids, mask = (torch.tensor([[getattr(text, part) for text in batch]]) for part in ("ids", "attention_mask"))',
            "with torch.no_grad():",
            "    print(model(ids, attention_mask=mask).logits)  # one score for each choice",
        ]
    shown = "last_hidden_state" if kind is TaskKind.ENCODER else "logits"
    return [
        'ids = torch.tensor([tokenizer.encode("A text.").ids])',
        "with torch.no_grad():",
        f"    print(model(ids).{shown})",
    ]


def _call_on_ids(plan: ConversionPlan) -> list[str]:
    kind = plan.task.kind
    shown = "last_hidden_state" if kind is TaskKind.ENCODER else "logits"
    usual = plan.description.pad_id == USUAL_PAD_ID
    ids, which = ("[0, 5, 6, 2]", "<s>, two tokens of the training dictionary, </s>") if usual else ("[5, 6]", "tokens")
    brackets = ("[[", "]]") if kind is TaskKind.MULTIPLE_CHOICE else ("[", "]")
    return [
        f"ids = torch.tensor({ids.join(brackets)})  # {which}",
        "with torch.no_grad():",
        f"    print(model(ids).{shown})",
    ]


def _options(plan: ConversionPlan) -> str:
    return ", add_pooling_layer=False" if plan.task.kind is TaskKind.ENCODER else ""
