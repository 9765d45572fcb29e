"""The settings of a training run that its checkpoint records: what a reader of the model card wants to know.

A checkpoint's arguments hold paths, hosts, users and tokens too, in any of them. So nothing is taken that could carry one:
numbers of the range that the setting has, flags, and words of a list that is written here. A number that is recorded as
text is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prenorm.source.arguments import Arguments
from prenorm.source.history import TrainingHistory

# fairseq's own registries, as far as they train a RoBERTa.
_OPTIMIZERS = (
    "adadelta", "adafactor", "adagrad", "adam", "adamax", "composite", "cpu_adam", "lamb", "nag", "sgd",
)  # fmt: skip
_SCHEDULES = (
    "cosine", "fixed", "inverse_sqrt", "manual", "pass_through", "polynomial_decay", "reduce_lr_on_plateau", "step",
    "tri_stage", "triangular",
)  # fmt: skip
_TASKS = (
    "masked_lm", "multilingual_masked_lm", "legacy_masked_lm", "sentence_prediction", "sentence_ranking",
    "sentence_prediction_adapters", "commonsense_qa", "winogrande", "wsc", "glue",
)  # fmt: skip
_ARCHITECTURES = (
    "roberta", "roberta_base", "roberta_large", "roberta_prenorm", "roberta_enc_dec", "xlm", "xlmr_xl", "xlmr_xxl",
    "deepspeed_roberta_base", "deepspeed_roberta_large", "data2vec_text",
)  # fmt: skip
_BREAKS = ("none", "complete", "complete_doc", "eos")
_MOST_PER_EPOCH = 8  # settings that fairseq takes one of for each epoch: learning rates, update frequencies
_PAIR = re.compile(r"[(\[]\s*(0?\.\d{1,9}|0|1)\s*,\s*(0?\.\d{1,9}|0|1)\s*[)\]]")

_Value = int | float | bool | str | list[float] | list[int] | None


@dataclass(frozen=True)
class _Setting:
    """One setting: the names that versions of fairseq gave it, the section it stands in, and how it is read."""

    names: tuple[str, ...]
    section: str
    read: Callable[[object], _Value]


def _whole(low: int, high: int) -> Callable[[object], int | None]:
    return lambda value: value if type(value) is int and low <= value <= high else None


def _real(low: float, high: float) -> Callable[[object], float | int | None]:
    # Not NaN either, which compares with nothing.
    return lambda value: value if type(value) in (int, float) and low <= value <= high else None  # type: ignore[operator, return-value]


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _word(known: Sequence[str]) -> Callable[[object], str | None]:
    return lambda value: next((word for word in known if value == word), None)


def _per_epoch(read: Callable[[object], _Value]) -> Callable[[object], _Value]:
    """Read one value, or one for each epoch; the one where all are the same."""

    def read_all(value: object) -> _Value:
        if not isinstance(value, list):
            return read(value)
        values = [read(item) for item in value[: _MOST_PER_EPOCH + 1]]
        if not values or len(values) > _MOST_PER_EPOCH or any(item is None for item in values):
            return None
        return values[0] if len(set(map(repr, values))) == 1 else values  # type: ignore[return-value]

    return read_all


def _betas(value: object) -> list[float] | None:
    """Read Adam's two decay rates, which fairseq records as text of a tuple."""
    if isinstance(value, str):
        matched = _PAIR.fullmatch(value.strip()) if len(value) < 40 else None
        value = [float(part) for part in matched.groups()] if matched else None
    good = isinstance(value, list) and len(value) == 2 and all(_real(0, 1)(item) is not None for item in value)
    return value if good else None  # type: ignore[return-value]


_COUNT = _whole(1, 10**12)
_RATE = _real(0, 1)
_SETTINGS: Mapping[str, _Setting] = {
    "mask_prob": _Setting(("mask_prob",), "task", _RATE),
    "leave_unmasked_prob": _Setting(("leave_unmasked_prob",), "task", _RATE),
    "random_token_prob": _Setting(("random_token_prob",), "task", _RATE),
    "mask_whole_words": _Setting(("mask_whole_words",), "task", _flag),
    "tokens_per_sample": _Setting(("tokens_per_sample",), "task", _COUNT),
    "sample_break_mode": _Setting(("sample_break_mode",), "task", _word(_BREAKS)),
    "max_update": _Setting(("max_update",), "optimization", _COUNT),
    "batch_size": _Setting(("batch_size", "max_sentences"), "dataset", _COUNT),
    "max_tokens": _Setting(("max_tokens",), "dataset", _COUNT),
    "update_freq": _Setting(("update_freq",), "optimization", _per_epoch(_COUNT)),
    "distributed_world_size": _Setting(("distributed_world_size",), "distributed_training", _whole(1, 10**6)),
    "model_parallel_size": _Setting(("model_parallel_size",), "common", _whole(1, 10**6)),
    "optimizer": _Setting(("_name", "optimizer"), "optimizer", _word(_OPTIMIZERS)),
    "adam_betas": _Setting(("adam_betas",), "optimizer", _betas),
    "adam_eps": _Setting(("adam_eps",), "optimizer", _RATE),
    "weight_decay": _Setting(("weight_decay",), "optimizer", _real(0, 1e6)),
    "clip_norm": _Setting(("clip_norm",), "optimization", _real(0, 1e6)),
    "lr": _Setting(("lr",), "optimization", _per_epoch(_real(0, 1e6))),
    "lr_scheduler": _Setting(("_name", "lr_scheduler"), "lr_scheduler", _word(_SCHEDULES)),
    "warmup_updates": _Setting(("warmup_updates",), "lr_scheduler", _whole(0, 10**12)),
    "fp16": _Setting(("fp16",), "common", _flag),
    "bf16": _Setting(("bf16",), "common", _flag),
    "seed": _Setting(("seed",), "common", _whole(-(2**63), 2**64 - 1)),
}


def training_facts(arguments: Arguments, history: TrainingHistory) -> dict[str, object]:
    """Collect the settings that are recorded; see `_SETTINGS` for what each can be.

    Args:
        arguments: what the checkpoint records.
        history: how far the training came.

    Returns:
        The settings, by fairseq's names of today.
    """
    facts: dict[str, object] = {}
    for name, setting in _SETTINGS.items():
        value = next(
            (accepted for item in _recorded(arguments, setting) if (accepted := setting.read(item)) is not None), None
        )
        if value is not None:
            facts[name] = value
    words = {"task": _word(_TASKS)(arguments.task), "arch": _word(_ARCHITECTURES)(arguments.arch)}
    facts |= {name: word for name, word in words.items() if word is not None}
    if history.updates is not None:
        facts["num_updates"] = history.updates
    return facts


def _recorded(arguments: Arguments, setting: _Setting) -> list[object]:
    """List what the setting's sections record under its names, and then the flat arguments."""
    section = arguments.sections.get(setting.section, {})
    of_section = [section.get(name) for name in setting.names]
    return [*of_section, *(arguments.model.get(name) for name in setting.names if name != "_name")]
