"""What is taken of a training's settings: numbers in their range, flags, and words that we know."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from helpers.paths import MLM
from helpers.stand_ins import namespace
from prenorm.folder.card.facts import parameters, training_rows, validation
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.source.arguments import find_arguments
from prenorm.source.history import training_history
from prenorm.source.settings import training_facts

BATCH = {"batch_size": 16, "update_freq": [4], "distributed_world_size": 8}


def found(history: object = None, **content: Any) -> dict[str, object]:
    checkpoint = replace(open_checkpoint(MLM), content={"optimizer_history": history, **content})
    arguments = find_arguments(content)
    return training_facts(arguments, training_history(checkpoint, arguments))


def flat(**arguments: object) -> dict[str, object]:
    facts = found(args=namespace(arch="roberta_base", **arguments))
    facts.pop("arch", None)
    return facts


def told(**arguments: object) -> dict[str, str]:
    return dict(training_rows(flat(**arguments)))


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("mask_prob", 0.15, 0.15), ("mask_prob", 1.5, None), ("mask_prob", math.nan, None),
        ("mask_prob", "0.15", None), ("mask_prob", True, None), ("seed", -3, -3), ("seed", 1 << 500, None),
        ("seed", 1.0, None), ("seed", False, None), ("batch_size", 0, None), ("max_tokens", 4096, 4096),
        ("lr", [0.1], 0.1), ("lr", [0.1, 0.2], [0.1, 0.2]), ("lr", 0.5, 0.5), ("lr", [0.1, 0.1], 0.1),
        ("lr", [], None), ("lr", [0.1] * 9, None), ("lr", [0.1, "x"], None), ("lr", [math.inf], None),
        ("update_freq", [4], 4), ("update_freq", [1, 2], [1, 2]), ("update_freq", ["/home"], None),
        ("adam_betas", "(0.9, 0.98)", [0.9, 0.98]), ("adam_betas", [0.9, 0.999], [0.9, 0.999]),
        ("adam_betas", "(0.9,1e5)", None), ("adam_betas", "(0.9, .98, 7)", None),
        ("adam_betas", "('/home', 1)", None), ("optimizer", "adam", "adam"), ("optimizer", "/home/me", None),
        ("optimizer", ["adam"], None), ("lr_scheduler", "inverse_sqrt", "inverse_sqrt"),
        ("lr_scheduler", "adam", None), ("fp16", True, True), ("fp16", 1, None), ("sample_break_mode", "eos", "eos"),
        ("distributed_world_size", 8, 8), ("distributed_world_size", 8.0, None), ("weight_decay", 0, 0),
        ("clip_norm", -1, None),
    ],
)  # fmt: skip
def test_each_setting_is_in_its_range_or_none(name: str, value: object, kept: object) -> None:
    assert flat(**{name: value}) == ({} if kept is None else {name: kept})


def test_older_names_and_sections() -> None:
    assert flat(max_sentences=32) == {"batch_size": 32}
    sections = {
        "model": {"_name": "roberta_large", "optimizer": "sgd"}, "task": {"_name": "masked_lm", "mask_prob": 0.4},
        "optimizer": {"_name": "adam"}, "lr_scheduler": "polynomial_decay", "optimization": {"lr": [0.1]},
        "common": {"seed": 7},
    }  # fmt: skip
    assert found([{"num_updates": 3}, {"num_updates": 9}], cfg=sections) == {
        "mask_prob": 0.4, "optimizer": "adam", "lr": 0.1, "lr_scheduler": "polynomial_decay", "seed": 7,
        "task": "masked_lm", "arch": "roberta_large", "num_updates": 9,
    }  # fmt: skip
    sections |= {"model": {"_name": "hf_token_as_name"}, "task": {"_name": "alice"}}
    assert not {"arch", "task"} & found(cfg=sections).keys()


@pytest.mark.parametrize(
    "history", [[], None, 3, [3], [{}], [{"num_updates": "9"}], [{"num_updates": -1}], [{"num_updates": True}]]
)
def test_updates_that_are_none(history: object) -> None:
    assert "num_updates" not in found(history)


@pytest.mark.parametrize(
    ("arguments", "batch", "update"),
    [
        (BATCH, "16 sequences per device and step", "512 sequences (4 steps × 8 devices)"),
        ({**BATCH, "update_freq": [1, 2]}, "16 sequences per device and step", None),
        ({**BATCH, "update_freq": None}, "16 sequences per device and step", None),
        ({**BATCH, "distributed_world_size": "8"}, "16 sequences per device and step", None),
        ({**BATCH, "model_parallel_size": 4}, "16 sequences per device and step", "128 sequences (4 steps × 2 devices)"),
        ({**BATCH, "model_parallel_size": 3}, "16 sequences per device and step", None),
        ({**BATCH, "batch_size": None, "max_tokens": 4096}, "at most 4,096 tokens per device and step",
         "at most 131,072 tokens (4 steps × 8 devices)"),
        ({**BATCH, "max_tokens": 4096}, "at most 16 sequences and 4,096 tokens per device and step",
         "at most 512 sequences and 131,072 tokens (4 steps × 8 devices)"),
        ({**BATCH, "batch_size": None}, None, None),
    ],
)  # fmt: skip
def test_the_batch_of_an_update_is_told_only_where_all_of_it_is_known(
    arguments: dict[str, object], batch: str | None, update: str | None
) -> None:
    rows = told(**arguments)
    assert (rows.get("Batch"), rows.get("Batch of an update")) == (batch, update)


def test_rows_in_words() -> None:
    rows = told(
        mask_prob=0.15, leave_unmasked_prob=0.1, random_token_prob=0.1, mask_whole_words=True, max_update=500000,
        lr=[0.0006], warmup_updates=24000, lr_scheduler="polynomial_decay", optimizer="adam", clip_norm=1.0, bf16=True,
        seed=0, adam_betas="(0.9, 0.98)",
    )  # fmt: skip
    assert rows == {
        "Masking rate": "15 % of tokens; of these 10 % left as they are, 10 % replaced at random; whole words",
        "Updates": "500,000 planned",
        "Learning rate": "0.0006, schedule `polynomial_decay`, 24,000 updates of warm-up",
        "Optimizer": "`adam`, betas 0.9 and 0.98, gradient norm clipped at 1",
        "Precision": "bfloat16 training",
        "Seed": "0",
    }


@pytest.mark.parametrize(
    ("recorded", "description", "told"),
    [
        ({}, {}, ("Validation loss", "7.609 (to base 2, as fairseq logs it; perplexity 195.2)")),
        ({"validation": 2.0, "best": 1.5}, {},
         ("Validation loss", "2 (to base 2, as fairseq logs it; perplexity 4; the run's best until then was 1.5)")),
        ({"validation": None}, {}, None),
        ({"metric": "the chosen metric"}, {}, None),
        ({"metric": "accuracy", "validation": 87.5, "best": 88.0}, {"criterion": "sentence_prediction"},
         ("Validation accuracy", "87.5 % (the run's best until then was 88 %)")),
        ({"metric": "ppl", "validation": 4.25, "best": 4.25}, {}, ("Validation perplexity", "4.25")),
        ({}, {"criterion": "sentence_prediction"}, ("Validation loss", "7.609 (to base 2, as fairseq logs it)")),
        ({}, {"criterion": "sentence_prediction", "regression": True},
         ("Validation loss", "7.609 (squared error divided by ln 2, as fairseq logs it)")),
        ({}, {"criterion": "one_of_their_own"}, ("Validation loss", "7.609")),
        ({}, {"criterion": "unknown", "weights": "ema"},
         ("Validation loss", "7.609 (of the weights as trained, not of their average)")),
        ({}, {"criterion": "unknown", "layers_kept": (0, 2)},
         ("Validation loss", "7.609 (of the model with all its layers)")),
    ],
)  # fmt: skip
def test_the_validation_that_is_recorded(
    recorded: dict[str, Any], description: dict[str, Any], told: tuple[str, str] | None
) -> None:
    known = prepare(open_checkpoint(MLM), SourceOptions()).plan.description
    assert validation(replace(known, history=replace(known.history, **recorded), **description)) == told


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (999_999, "999,999 parameters"),
        (124_647_170, "124.6 million parameters"),
        (3_481_000_000, "3.481 billion parameters"),
    ],
)
def test_parameters_in_words(amount: int, text: str) -> None:
    assert parameters(amount) == text
