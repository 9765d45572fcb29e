"""What config.json must say for the folder to be loaded, padded and read as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from prenorm.fitness.candidate import Candidate
from prenorm.fitness.finding import Finding, Unfit, refuse
from prenorm.mapping.targets import TARGETS, target_of_type
from prenorm.options import TaskKind
from prenorm.proof import check_dtype

# What the shapes do not show, and transformers has a default of its own for, mostly a wrong one.
_NEEDED = ("num_attention_heads", "hidden_act", "layer_norm_eps", "max_position_embeddings", "pad_token_id")


def check_config(candidate: Candidate) -> Finding:
    """Check type and class, the fields that load in silence when they are wrong, and what the weights say of them.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    config = candidate.config
    problems = [*_type_problems(candidate)]
    problems += [
        f"config.json has no '{name}', so transformers takes its own default" for name in _NEEDED if name not in config
    ]
    problems += [*_id_problems(config), *_pad_row(candidate), *_tie(candidate)]
    problems += [text.removeprefix("config: ") for text in check_dtype(candidate.published)]
    refuse(problems)
    return Finding(f"{config['model_type']}, {config['architectures'][0]}, pad {config['pad_token_id']}")


def _type_problems(candidate: Candidate) -> Iterator[str]:
    model_type, named = candidate.config.get("model_type"), candidate.config.get("architectures")
    target = target_of_type(model_type)
    if target is None:
        why = (
            "AutoModel loads that with LayerNorm behind each block" if model_type in ("roberta", "xlm-roberta") else ""
        )
        yield (
            f"model_type is {model_type}, which is neither of the pre-LayerNorm types "
            f"({' and '.join(target.model_type for target in TARGETS)}){': ' + why if why else ''}"
        )
    elif named != [target.architectures[candidate.kind]]:
        yield f"architectures is {named}, must be ['{target.architectures[candidate.kind]}']"


def _id_problems(config: dict[str, Any]) -> Iterator[str]:
    rows = config.get("vocab_size")
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        value = config.get(name)
        if isinstance(value, int) and isinstance(rows, int) and not 0 <= value < rows:
            yield f"{name} is {value}, and there are {rows} rows"


def _pad_row(candidate: Candidate) -> Iterator[str]:
    """Yield a sentence if the position table's empty row, which fairseq has at the pad's id, lies elsewhere."""
    table, pad = candidate.find("position_embeddings.weight"), candidate.config.get("pad_token_id")
    if table is None or not isinstance(pad, int):
        return
    zero = torch.nonzero(table.abs().sum(dim=1) == 0).flatten().tolist()
    if zero and pad not in zero:
        yield (
            f"pad_token_id is {pad}, and the position table has its empty row at {zero[0]}: every token would be "
            "counted at a wrong position"
        )


def _tie(candidate: Candidate) -> Iterator[str]:
    """Yield a sentence if config.json says that the LM head is the embedding and it is not, or the other way round."""
    if candidate.kind is not TaskKind.MASKED_LM:
        return
    tied = candidate.config.get("tie_word_embeddings", True)
    head, table = candidate.find("lm_head.decoder.weight"), candidate.find("word_embeddings.weight")
    if head is None and not tied:
        yield "tie_word_embeddings is false, and the files have no 'lm_head.decoder.weight': the head would be random"
    if head is not None and table is not None and tied and not torch.equal(head, table):
        yield "tie_word_embeddings is true, and 'lm_head.decoder.weight' is not the embedding: the head would be lost"


def check_labels(candidate: Candidate) -> Finding:
    """Check that there are as many labels as the head has outputs, and that both tables of them agree.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    config = candidate.config
    names, numbers = config.get("id2label"), config.get("label2id")
    head = candidate.find("classifier.out_proj.weight")
    if not isinstance(names, dict):
        raise Unfit(["config.json has no id2label, so that readers get LABEL_0, LABEL_1"])
    problems = []
    if head is not None and len(names) != head.shape[0]:
        problems.append(f"id2label has {len(names)} labels, the head has {head.shape[0]} outputs")
    if {str(number) for number in range(len(names))} != set(names):
        problems.append(f"id2label does not number its labels from 0 on: {', '.join(map(str, names))}")
    elif numbers != {label: int(number) for number, label in names.items()}:
        problems.append(f"label2id is {numbers}, which is not id2label turned round")
    refuse(problems)
    examples = ", ".join(map(str, list(names.values())[:5])) + (", ..." if len(names) > 5 else "")
    generic = all(str(name).startswith("LABEL_") for name in names.values())
    return Finding(f"{len(names)}: {examples}" + (" (generic; convert --label-dict names them)" if generic else ""))
