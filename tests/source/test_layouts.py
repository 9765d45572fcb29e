"""Words that a wrapping program puts in front of all names: undone, whatever they are, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from helpers.checkpoints import load_trusted, save_edited
from helpers.paths import FAIRSEQ_PYTHON, FIXTURES, MLM
from prenorm import convert, inspect, verify
from prenorm.parts import open_checkpoint
from prenorm.proof.references.builtin_names import encoder_prefix, head_prefix
from prenorm.source.contents import model_tensors
from prenorm.source.layouts import WRAPPERS, normalize

CLASSIFIER = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"
OLD_NAMES = FIXTURES / "variants" / "decoder-prefix" / "checkpoint.pt"


def put_below(prefix: str) -> Any:
    def edit(content: dict[str, Any]) -> None:
        content["model"] = {prefix + name: tensor for name, tensor in content["model"].items()}

    return edit


def same_weights(one: Path, other: Path) -> bool:
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(
    ("source", "prefix"),
    [(MLM, "module."), (CLASSIFIER, "model."), (OLD_NAMES, "module."), (MLM, "_forward_module.net._orig_mod.")],
)
@pytest.mark.slow
def test_a_wrapped_model_converts_exactly_as_the_bare_one(source: Path, prefix: str, tmp_path: Path) -> None:
    wrapped = save_edited(tmp_path / "wrapped.pt", put_below(prefix), source)
    result = convert(wrapped, tmp_path / "wrapped")
    assert result.report.passed
    convert(source, tmp_path / "bare")
    assert same_weights(tmp_path / "wrapped", tmp_path / "bare")
    assert all(row.reason for row in result.plan.rows if row.moved is not None)
    assert verify(wrapped, tmp_path / "bare").passed


@pytest.mark.slow
def test_real_fairseq_computes_a_wrapped_model(tmp_path: Path) -> None:
    wrapped = save_edited(tmp_path / "wrapped.pt", put_below("module."))
    result = convert(wrapped, tmp_path / "out", reference="fairseq", fairseq_python=FAIRSEQ_PYTHON)
    assert result.report.passed
    assert result.report.reference.startswith("fairseq ")


def test_what_wrapped_it_is_said_per_tensor(tmp_path: Path) -> None:
    found = inspect(save_edited(tmp_path / "c.pt", put_below("module.")))
    assert found.layout == "below 'module.'"
    assert all("DistributedDataParallel" in line.reason for line in found.tensors if line.target)
    found = inspect(save_edited(tmp_path / "c.pt", put_below("bert.")))
    assert all("`bert`" in line.reason for line in found.tensors if line.target)


_WORDS = st.sampled_from([*WRAPPERS, "net", "roberta", "encoder", "decoder", "x_1"])


@settings(max_examples=60, deadline=None)
@given(words=st.lists(_WORDS, min_size=1, max_size=4), source=st.sampled_from([MLM, CLASSIFIER, OLD_NAMES]))
def test_any_words_in_front_are_undone(words: list[str], source: Path) -> None:
    """The names come back, each of its own tensor, and the reference finds what the rules find, by itself."""
    tensors = model_tensors(open_checkpoint(source))
    prefix = ".".join(words) + "."
    bare, wrapped = normalize(tensors), normalize({prefix + name: tensor for name, tensor in tensors.items()})
    assert list(wrapped.tensors) == list(bare.tensors)
    for name, item in bare.tensors.items():
        assert wrapped.tensors[name].tensor is item.tensor
        assert wrapped.tensors[name].source == f"{prefix}{item.source}"
    assert [item.source for item in wrapped.dropped] == [prefix + item.source for item in bare.dropped]
    at, lm_head = encoder_prefix(tensors)
    assert encoder_prefix([prefix + name for name in tensors]) == (prefix + at, prefix + lm_head)
    assert head_prefix("topic", prefix + at) == f"{prefix}classification_heads.topic."


def test_one_name_that_is_not_below_it_leaves_all_as_they_are() -> None:
    tensors = model_tensors(open_checkpoint(MLM))
    mixed = {f"module.{name}" if number else name: tensor for number, (name, tensor) in enumerate(tensors.items())}
    assert list(normalize(mixed).tensors) == [name for name in mixed if not name.endswith(".version")]


def test_the_fixtures_themselves_are_of_no_wrapper() -> None:
    for source in (MLM, CLASSIFIER, OLD_NAMES):
        assert not any("below" in layout.name for layout in normalize(load_trusted(source)["model"]).layouts)
