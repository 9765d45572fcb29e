"""Rules turned round: for every layout and target they give the tensors back bit by bit, and lose none silently."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.paths import FIXTURES
from helpers.tensors import in_memory
from helpers.variants import VARIANTS
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.targets import target_for
from prenorm.mapping.targets.heads import sizes
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions, TaskKind
from prenorm.parts import open_checkpoint
from prenorm.rules import (
    Absent,
    Constant,
    Drop,
    Expect,
    Rename,
    Row,
    Split,
    apply_layout,
    apply_target,
    as_moved,
    expand,
    invert,
    match,
    restore,
)
from prenorm.source import LAYOUTS, SourceDescription
from prenorm.source.layouts import EVERYWHERE, Layout

WORDS = st.from_regex(r"[a-z]\w{0,9}", fullmatch=True)
MODELS = {
    "with a norm behind the embeddings": (FIXTURES / "dinkytrain-mlm", "auto"),
    "without one": (FIXTURES / "dinkytrain-no-embedding-norm", "auto"),
    "untied": (VARIANTS / "untied", "auto"),
    "classification": (FIXTURES / "dinkytrain-classification", "auto"),
    "choice": (VARIANTS / "sentence-ranking", "auto"),
    "choice without a norm": (VARIANTS / "prenorm-ranking", "auto"),
    "encoder": (FIXTURES / "dinkytrain-mlm", "encoder"),
}


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@st.composite
def files_of(draw: st.DrawFn, layout: Layout) -> dict[str, Tensor]:
    """Some tensors of each family that the layout speaks of, and some that it does not."""
    tensors = {}
    dtype = draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
    for rule in layout.rules:
        for n in draw(st.lists(st.integers(0, 30), max_size=2, unique=True)):
            fields = {"n": n, "p": draw(st.sampled_from(["weight", "bias"])), "rest": draw(WORDS), "head": draw(WORDS)}
            shape = [3 * draw(st.integers(1, 3)), *draw(st.lists(st.integers(0, 3), max_size=1))]
            tensors[rule.source.format(**fields)] = torch.randn(shape).to(dtype)
    return tensors | {f"other.{draw(WORDS)}": torch.randn(2)}


@pytest.mark.parametrize("layout", [*LAYOUTS, EVERYWHERE], ids=lambda layout: layout.name)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_layout_undone_and_done_again(layout: Layout, data: st.DataObject) -> None:
    tensors = data.draw(files_of(layout))
    moved, dropped, problems = apply_layout(layout.rules, as_moved({k: in_memory(v) for k, v in tensors.items()}))
    assert not problems
    back = restore(invert(layout.rules), {name: item.tensor for name, item in moved.items()})
    assert not back.problems and not back.spent
    found = back.tensors | back.untouched
    assert len(found) == len(back.tensors) + len(back.untouched)
    assert found.keys() | {item.source for item in dropped} == tensors.keys()
    assert all(bits(found[name].read()) == bits(tensors[name]) for name in found)
    # What did not come back is named by a rule, with the reason that it was dropped for.
    for item in dropped:
        assert any(match(rule.target, item.source) is not None and rule.reason == item.reason for rule in back.absent)


@cache
def planned(name: str) -> ConversionPlan:
    folder, task = MODELS[name]
    return prepare(open_checkpoint(folder / "checkpoint.pt"), SourceOptions(task=task)).plan


def written(rows: tuple[Row, ...]) -> dict[str, Tensor]:
    """The target's tensors as the folder holds them."""
    return {
        row.target: torch.full(row.shape, row.fill) if row.moved is None else row.moved.tensor.read() for row in rows
    }


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_target_undone_and_done_again(name: str, data: st.DataObject) -> None:
    plan = planned(name)
    description, task = resized(plan.description, data), plan.task
    known = sizes(description, task)
    rules = target_for(description).rules(description, task)
    members = [
        (rule, fields)
        for rule in rules
        if isinstance(rule, Rename)
        for fields in expand(rule.source, description.layers)
    ]
    canonical = {}
    for rule, fields in members:
        shape = [known[size] for size in rule.shape]
        canonical[rule.source.format(**fields)] = torch.randn(shape[:1] if fields.get("p") == "bias" else shape)
    lost = {"classification_heads.another.dense.weight": torch.randn(2, 2)}
    tied = [rule for rule in rules if isinstance(rule, Drop) and rule.same_as is not None]
    canonical |= {rule.source: canonical[str(rule.same_as)] for rule in tied}
    assert bool(tied) == (task.kind is TaskKind.MASKED_LM and description.shares_embedding)
    moved = as_moved({key: in_memory(tensor) for key, tensor in (canonical | lost).items()})
    application = apply_target(rules, moved, known, description.layers, "float32")
    assert not (application.missing or application.mismatched or application.unknown)

    held = {key: in_memory(tensor) for key, tensor in written(application.rows).items()}
    back = restore(invert(rules), held, description.layers)
    assert not back.problems and not back.untouched
    assert back.tensors.keys() == canonical.keys()
    assert all(bits(back.tensors[key].read()) == bits(canonical[key]) for key in canonical)
    assert set(back.spent) == {rule.target for rule in rules if isinstance(rule, Constant)}
    assert len(held) == len(set(back.spent)) + len({row.target for row in application.rows if row.moved is not None})
    dropped = {item.source for item in application.dropped} - canonical.keys()
    assert dropped == lost.keys()
    assert all(any(match(rule.target, key) is not None for rule in back.absent) for key in dropped)

    gone = data.draw(st.sampled_from(sorted(held)))
    without = restore(invert(rules), {key: tensor for key, tensor in held.items() if key != gone}, description.layers)
    assert any(f"'{gone}' is missing" in problem for problem in without.problems)
    beside = restore(invert(rules), held | {"lm_head.odd": in_memory(torch.zeros(2))}, description.layers)
    assert list(beside.untouched) == ["lm_head.odd"]


def resized(description: SourceDescription, data: st.DataObject) -> SourceDescription:
    small = st.integers(1, 5)
    return replace(
        description,
        layers=data.draw(st.integers(1, 2)),
        hidden_size=data.draw(small),
        ffn_size=data.draw(small),
        vocab_size=data.draw(small),
    )


def test_every_rule_has_an_inverse() -> None:
    rules = (Rename("a", ("b",)), Split("c", ("d", "e")), Constant("f", (), 0.0, "why"), Drop("g", "gone"))
    assert len(invert(rules)) == len(rules)
    assert invert(rules)[2:] == (Expect("f", 0.0, "why"), Absent("g", "gone"))


def test_a_constant_that_is_none_is_a_problem() -> None:
    inverse = invert((Constant("table", ("token_types", "hidden"), 0.0, "no token types"),))
    for value, problems in (
        (0.0, ()),
        (-0.0, ("'table' is not 0 throughout",)),
        (1.0, ("'table' is not 0 throughout",)),
    ):
        assert restore(inverse, {"table": in_memory(torch.full((1, 4), value))}).problems == problems
    assert restore(inverse, {}).problems == ("'table' is missing",)


def test_a_tensor_held_twice_must_be_the_same_twice() -> None:
    inverse = invert((Rename("bias", ("one", "other")),))
    one = torch.randn(4)
    assert restore(inverse, {"one": in_memory(one), "other": in_memory(one.clone())}).problems == ()
    other = one.clone()
    other[3] += 1
    found = restore(inverse, {"one": in_memory(one), "other": in_memory(other)})
    assert found.problems == ("'other' is not the same as 'one'",)
    assert restore(inverse, {"other": in_memory(other)}).problems == ("'one' is missing, for 'bias'",)


def test_parts_that_do_not_go_together_are_a_problem() -> None:
    inverse = invert((Split("qkv", ("q", "k", "v")),))
    parts = {"q": torch.ones(2, 3), "k": torch.ones(2, 3), "v": torch.ones(2, 4)}
    found = restore(inverse, {name: in_memory(tensor) for name, tensor in parts.items()})
    assert found.problems == ("'v' is not of the type and shape of 'q'",)
