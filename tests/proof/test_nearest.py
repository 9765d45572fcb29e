"""What a tensor that differs is nearest to: every known change is named, and no other tensor gets a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from helpers.paths import MLM
from prenorm.folder.files import write_weights
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.proof.checks.audit import audit
from prenorm.proof.hints.nearest import nearest
from prenorm.proof.hints.tensors import computing_order, different_tensors, tensor_behind
from prenorm.reports.details import TensorDifference

AT = "roberta_prelayernorm."
LAYER = f"{AT}encoder.layer."
OF_LAYER = "encoder.sentence_encoder.layers."


def _prepared() -> Prepared:
    return prepare(open_checkpoint(MLM), SourceOptions())


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder = tmp_path_factory.mktemp("sound")
    write_weights(folder, _prepared().plan.rows, source="checkpoint.pt", allow_nonfinite=False, tick=lambda steps: None)
    return load_file(folder / "model.safetensors")


def described(folder: Path, tensors: dict[str, Tensor]) -> dict[str, TensorDifference]:
    """The tensors of a folder that differ from the checkpoint's, by name."""
    save_file({name: values.contiguous() for name, values in tensors.items()}, folder / "model.safetensors")
    prepared = _prepared()
    plan = prepared.plan
    audited = audit(folder, plan.rows, plan.dropped, prepared.tensors, (), tied=True)
    return {item.target: item for item in different_tensors(folder, plan.rows, audited.rows, plan)}


def other_heads(values: Tensor) -> Tensor:
    return values.reshape(4, 12, -1)[[1, 0, 2, 3]].reshape(values.shape)


def with_row(values: Tensor, row: int, content: Tensor | float) -> Tensor:
    changed = values.clone()
    changed[row] = content
    return changed


def one_ulp(values: Tensor) -> Tensor:
    return torch.nextafter(values, torch.full_like(values, 1e9))


QUERY, KEY = "attention.self.query.weight", "attention.self.key.weight"
FC1 = "intermediate.dense.weight"
CHANGES: dict[str, tuple[str, Callable[[Tensor], Tensor], str]] = {
    "transposed": (QUERY, torch.t, "is transposed"),
    "rolled": (FC1, lambda t: t.roll(1, 0), "holds its rows rolled by 1"),
    "rolled back": (FC1, lambda t: t.roll(-2, 0), "holds its rows rolled by -2"),
    "rolled columns": (FC1, lambda t: t.roll(3, 1), "holds its columns rolled by 3"),
    "flipped": (FC1, lambda t: t.flip(0), "holds its rows in reverse order"),
    "shifted": (
        FC1, lambda t: torch.cat([t[:1] * 0.7 + 0.1, t[:-1]]), "holds its rows shifted by 1"),
    "scaled": (FC1, lambda t: t * 0.125, "is scaled by 0.125"),
    "scaled by the heads' root": (QUERY, lambda t: t * 12**-0.5, "is scaled by 0.288675"),
    "negated": (QUERY, torch.neg, "is negated"),
    "zeros": (QUERY, torch.zeros_like, "holds zeros"),
    "one added": ("attention.LayerNorm.weight", lambda t: t + 1, "has 1 added to every value"),
    "one ulp": (FC1, one_ulp, "differs by one unit in the last place"),
    "float16": (FC1, lambda t: t.half().float(), "is rounded to float16"),
    "bfloat16": (FC1, lambda t: t.bfloat16().float(), "is rounded to bfloat16"),
    "heads": (
        QUERY, other_heads,
        "holds its attention heads in another order: head 0 is the checkpoint's 1, head 1 is the checkpoint's 0"),
    "rows": (
        FC1, lambda t: t[[*range(3), 90, *range(4, 90), 3, *range(91, 96)]],
        "holds its rows in another order: row 3 is the checkpoint's 90, row 90 is the checkpoint's 3"),
    "one row zeroed": (FC1, lambda t: with_row(t, 7, 0.0), "has row 7 zeroed"),
    "one row twice": (FC1, lambda t: with_row(t, 7, t[9]), "has row 9 in row 7, too"),
    "not a number": (FC1, lambda t: with_row(t, 2, float("nan")), "holds NaN or infinity, 48 times"),
    "a bias in another order": (
        "intermediate.dense.bias", lambda t: t.flip(0), "holds its values in reverse order"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_tensor_is_named_with_its_change(name: str, tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    part, change, words = CHANGES[name]
    target = f"{LAYER}1.{part}"
    different = described(tmp_path, {**tensors, target: change(tensors[target])})
    assert {item.target: item.nearest for item in different.values()} == {target: words}


TAKEN: dict[str, tuple[str, str, Callable[[Tensor], Tensor], str]] = {
    "another projection's": (f"1.{QUERY}", f"1.{KEY}", torch.clone,
                             f"holds layer 1's key weight ('{OF_LAYER}1.self_attn.k_proj.weight')"),
    "another layer's": (f"1.{KEY}", f"0.{KEY}", torch.clone,
                        f"holds layer 0's key weight ('{OF_LAYER}0.self_attn.k_proj.weight')"),
    "the transpose of another": (f"1.{KEY}", f"2.{QUERY}", torch.t,
                                 f"holds the transpose of layer 2's query weight ('{OF_LAYER}2.self_attn.q_proj.weight')"),
    "another, scaled": (f"1.{KEY}", f"0.{QUERY}", lambda t: t * 3,
                        f"holds layer 0's query weight ('{OF_LAYER}0.self_attn.q_proj.weight') scaled by 3"),
    "another, negated": (f"1.{KEY}", f"0.{QUERY}", torch.neg,
                         f"holds layer 0's query weight ('{OF_LAYER}0.self_attn.q_proj.weight') negated"),
    "the other matrix, transposed": ("1.output.dense.weight", "0.intermediate.dense.weight", torch.t,
                                     f"holds the transpose of layer 0's intermediate weight ('{OF_LAYER}0.fc1.weight')"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_tensor_in_another_ones_place_is_named(name: str, tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    at, source, change, words = TAKEN[name]
    different = described(tmp_path, {**tensors, LAYER + at: change(tensors[LAYER + source])})
    assert {item.target: item.nearest for item in different.values()} == {LAYER + at: words}


def test_swapped_tensors_are_both_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    one, other = f"{LAYER}0.{QUERY}", f"{LAYER}2.{QUERY}"
    different = described(tmp_path, {**tensors, one: tensors[other], other: tensors[one]})
    assert [item.nearest for item in different.values()] == [
        f"is swapped with layer 2's query weight ('{OF_LAYER}2.self_attn.q_proj.weight')",
        f"is swapped with layer 0's query weight ('{OF_LAYER}0.self_attn.q_proj.weight')",
    ]


def test_an_unknown_change_gets_no_name_and_says_where_it_is(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    target = f"{LAYER}2.{FC1}"
    changed = tensors[target].clone()
    changed[3, 5] *= 1.01
    (difference,) = described(tmp_path, {**tensors, target: changed}).values()
    assert (difference.nearest, difference.differing, difference.values, difference.first) == (
        None,
        1,
        changed.numel(),
        (3, 5),
    )
    assert difference.brief == f"'{target}' differs in 1 of 4,608 values, the first at [3, 5]"


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 24), columns=st.integers(2, 24), share=st.floats(0.05, 1.0)
)
def test_noise_is_never_named(seed: int, rows: int, columns: int, share: float) -> None:
    """Random changes of any number of values are of no known kind."""
    chance = torch.Generator().manual_seed(seed)
    expected = torch.randn(rows, columns, generator=chance)
    touched = torch.rand(rows, columns, generator=chance) < share
    touched[0, 0] = True
    actual = torch.where(touched, expected + torch.randn(rows, columns, generator=chance), expected)
    assert nearest(actual, expected, ()) is None


@pytest.mark.parametrize("name", ["one row zeroed", "scaled", "rolled"])
def test_two_changes_at_once_are_not_taken_for_one(name: str, tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    part, change, _ = CHANGES[name]
    target = f"{LAYER}1.{part}"
    changed = change(tensors[target]).clone()
    changed[::2] += torch.linspace(0.1, 0.2, changed.shape[1])
    (difference,) = described(tmp_path, {**tensors, target: changed}).values()
    assert difference.nearest is None


def test_tensors_stand_in_the_order_of_the_computation(tensors: dict[str, Tensor]) -> None:
    names = sorted(tensors, key=computing_order)
    parts = (
        "word_embeddings.weight",
        f"0.{QUERY}",
        f"0.{KEY}",
        f"0.{FC1}",
        f"1.{QUERY}",
        f"{AT}LayerNorm.weight",
        "lm_head",
    )
    places = [next(n for n, name in enumerate(names) if part in name) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("module", "wrong", "named"),
    [
        ("1.intermediate.dense", ["1.intermediate.dense.weight"], "1.intermediate.dense.weight"),
        ("1.attention.self.query", ["1.attention.LayerNorm.bias"], "1.attention.LayerNorm.bias"),
        (
            "1.attention.self.query",
            ["0.output.dense.bias", "1.attention.self.query.bias"],
            "1.attention.self.query.bias",
        ),
        ("2.attention.self.query", ["0.output.dense.bias"], "0.output.dense.bias"),
    ],
)
def test_the_tensor_behind_a_divergence_is_one_that_differs(module: str, wrong: list[str], named: str) -> None:
    difference = tensor_behind(LAYER + module, [TensorDifference(LAYER + name, None, "copy", 1) for name in wrong])
    assert difference is not None
    assert difference.target == LAYER + named
