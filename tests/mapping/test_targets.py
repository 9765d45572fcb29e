"""The registry of targets: each says everything that the other rooms ask of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import transformers

import prenorm.mapping.targets as targets
import prenorm_model
from helpers.paths import FIXTURES, MLM
from prenorm.errors import NotRepresentable
from prenorm.mapping.targets import TARGETS, Target, target_for, target_of_type
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions, TaskKind
from prenorm.parts import open_checkpoint
from prenorm.proof.runtimes import RUNTIMES

each = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.model_type)


@each
def test_a_target_names_classes_that_exist(target: Target) -> None:
    assert set(target.architectures) == set(target.bundled_classes) == set(TaskKind)
    for kind in TaskKind:
        assert getattr(transformers, target.architectures[kind]).config_class.model_type == target.model_type
        assert hasattr(prenorm_model, target.bundled_classes[kind])


@each
def test_a_target_says_what_transformers_takes_where_config_json_is_silent(target: Target) -> None:
    config: Any = transformers.AutoConfig.for_model(target.model_type)
    stated = config.to_dict()
    named = {name: value for name, value in target.defaults.items() if name in stated}
    assert {"layer_norm_eps", "vocab_size", "hidden_act", "pad_token_id"} <= named.keys()
    assert named == {name: stated[name] for name in named}


@each
def test_a_target_has_modules_for_every_runtime_with_hooks(target: Target) -> None:
    assert set(target.modules) == set(RUNTIMES)
    for modules in target.modules.values():
        assert modules.path("layers.2", "q_proj") == f"{modules.base}encoder.layer.2.attention.self.query"
        assert modules.path("layers.2", base="") == "encoder.layer.2"
        assert modules.path("layer_norm").startswith(modules.base)
    assert all(name.startswith(target.prefix) for name in target.vocabulary_matrices if "embeddings" in name)


@pytest.mark.parametrize(
    ("name", "expected"), [("dinkytrain-mlm", TARGETS[0]), ("dinkytrain-no-embedding-norm", TARGETS[1])]
)
def test_the_checkpoint_chooses_the_target(name: str, expected: Target) -> None:
    prepared = prepare(open_checkpoint(FIXTURES / name / "checkpoint.pt"), SourceOptions())
    assert target_for(prepared.description) is expected
    assert prepared.plan.target is expected
    assert sum(target.fits(prepared.description) for target in TARGETS) == 1


def test_what_no_target_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        targets, "TARGETS", tuple(replace(target, fits=lambda description: False) for target in TARGETS)
    )
    with pytest.raises(NotRepresentable, match="no Hugging Face architecture"):
        prepare(open_checkpoint(MLM), SourceOptions())


def test_a_type_that_no_target_has() -> None:
    assert target_of_type("xlm-roberta-xl") is TARGETS[1]
    assert target_of_type("bert") is None
    assert target_of_type(["roberta-prelayernorm"]) is None
