"""Configs that no program wrote: they cost little, give plain values or one clear error, and never anything else."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.paths import FIXTURES
from helpers.processor import at_most
from helpers.stand_ins import config, namespace, stand_in, value_node
from helpers.workers import run_fairseq
from prenorm.checkpoint.pickle.placeholders import Placeholder
from prenorm.checkpoint.pickle.reader import PickleReader
from prenorm.errors import UnreadableCheckpoint
from prenorm.source.arguments import find_arguments
from prenorm.source.arguments.containers import MAX_VALUES, ConfigReader
from prenorm.source.arguments.located import MAX_DEPTH

ROBERTA: dict[str, Any] = {"arch": "roberta_base", "encoder_attention_heads": 4}
SECONDS = 5.0  # the slowest takes 0.7 on a slow core
Content = dict[str, Any]


def in_model(**arguments: object) -> Content:
    return {"cfg": {"model": {**ROBERTA, **arguments}}}


def own_content() -> Content:
    node = config(None)
    node.state["_content"] = node
    return in_model(x=node)


def own_value() -> Content:
    node = value_node(None)
    node.state["_val"] = node
    return in_model(x=[node, node])


def dictionary_of_itself() -> Content:
    model = dict(ROBERTA)
    model |= {f"x{i}": model for i in range(100)}
    return {"cfg": {"model": model}}


def namespace_of_itself() -> Content:
    args = namespace(**ROBERTA)
    args.state["x"] = [args] * 1000
    return {"args": args}


def parents_in_a_circle() -> Content:
    inner, outer = config({**ROBERTA, "x": "${y.z}"}), config({})
    inner.state["_parent"], outer.state["_parent"] = outer, inner
    outer.state["_content"] = {"model": inner}
    return {"args": inner}


def endless_parents() -> Content:
    parent = None
    for _ in range(100_000):
        parent = config({}, parent)
    return {"args": config({**ROBERTA, "x": "${y}"}, parent)}


def deep_lists() -> Content:
    value: object = 1
    for _ in range(100_000):
        value = [value]
    return in_model(x=value)


def deep_nodes() -> Content:
    value: object = 1
    for _ in range(100_000):
        value = value_node(value)
    return in_model(x=value)


def deep_configs() -> Content:
    value: object = 1
    for _ in range(100_000):
        value = config({"x": value})
    return in_model(x=value)


def path_without_end() -> Content:
    model = dict(ROBERTA)
    model |= {"a": model, "x": "${model." + "a." * 2000 + "arch}"}
    return {"cfg": {"model": model}}


READ: dict[str, tuple[Callable[[], Content], str]] = {
    "own content": (own_content, "wrapped in more nodes"),
    "own value": (own_value, "wrapped in more nodes"),
    "dictionary of itself": (dictionary_of_itself, "it contains itself"),
    "namespace of itself": (namespace_of_itself, "it contains itself"),
    "parents in a circle": (parents_in_a_circle, "'y.z', which is not there"),
    "endless parents": (endless_parents, "'y', which is not there"),
    "deep lists": (deep_lists, f"more than {MAX_DEPTH} levels"),
    "deep nodes": (deep_nodes, "wrapped in more nodes"),
    "deep configs": (deep_configs, f"more than {MAX_DEPTH} levels"),
    "path without end": (path_without_end, "which is not there"),
    "reference to itself": (lambda: in_model(x="${model.x}"), "refers to itself"),
    "references in a circle": (lambda: in_model(x="${model.y}", y="${model.x}"), "refers to itself"),
    "circle through text": (lambda: in_model(x="a ${model.y}", y="b ${model.x}"), "refers to itself"),
    "circle through a container": (lambda: in_model(x={"y": "${model.x}", "z": "${model}"}), "it contains itself"),
    "circle on the way": (lambda: in_model(x="${model.y.a}", y="${model.x.a}"), "more than"),
    "chain too long": (lambda: in_model(**{f"x{i}": f"${{model.x{i + 1}}}" for i in range(100)}), "more than"),
    "many brackets": (lambda: in_model(x="${" * 1_000_000), "was computed by the program"),
    "above the root": (lambda: in_model(x="${......model}"), "'model', which is not there"),
}


@pytest.mark.parametrize("name", READ)
def test_what_leads_nowhere_is_none_and_told(name: str) -> None:
    make, why = READ[name]
    content = make()
    with at_most(SECONDS):
        found = find_arguments(content)
    assert (found.find("encoder_attention_heads"), found.arch) == (4, "roberta_base")
    assert any(why in told for told in found.unread.values())
    json.dumps(found.sections, skipkeys=False, allow_nan=False)


def test_a_large_text_is_looked_through_once() -> None:
    content = in_model(x="y" * 20_000_000, **{f"z{i}": "${model.x}" for i in range(20_000)})
    with at_most(SECONDS):
        assert find_arguments(content).find("z19999") is content["cfg"]["model"]["x"]


def doubled(value: object, times: int) -> object:
    for _ in range(times):
        value = [value, value]
    return value


def many_nodes() -> Content:
    return {"cfg": config({"model": config({f"x{i}": value_node(i) for i in range(MAX_VALUES + 1)})})}


def bomb_of_containers() -> Content:
    return in_model(**{f"x{i}": dict.fromkeys("abcdefgh", f"${{model.x{i + 1}}}") for i in range(20)}, x20=1)


def bomb_of_text() -> Content:
    return in_model(**{f"x{i}": f"${{model.x{i + 1}}}" * 9 for i in range(20)}, x20="x" * 1000)


def large_text_often() -> Content:
    return in_model(x="y" * 10_000_000, **{f"z{i}": "${model.x} " * 300 for i in range(100)})


def large_objects_often() -> Content:
    shared = {f"x{i}": i for i in range(50_000)}
    objects = [stand_in("lab", "Thing") for _ in range(10_000)]
    for item in objects:
        item.state = (shared, {"y": 1})
    return in_model(x=objects)


def large_objects_looked_into() -> Content:
    shared = {f"x{i}": i for i in range(50_000)}
    references = {f"z{i}": f"${{model.objects.{i}.x1}}" for i in range(10_000)}
    objects = [stand_in("lab", "Thing") for _ in range(10_000)]
    for item in objects:
        item.state = (shared, {"y": 1})
    return in_model(**references, objects=objects)


def keys_that_are_none() -> Content:
    shared = {(i,): i for i in range(50_000)}
    return in_model(x=[shared] * 10_000)


UNFOLDS: dict[str, Callable[[], Content]] = {
    "a million values": lambda: {"args": namespace(**ROBERTA, x=list(range(1_000_000)))},
    "as many nodes": many_nodes,
    "a list doubled 25 times": lambda: in_model(x=doubled(1, 25)),
    "a list doubled 60 times": lambda: in_model(x=doubled(1, 60)),
    "references to containers": bomb_of_containers,
    "references in text": bomb_of_text,
    "large text often": large_text_often,
    "large objects often": large_objects_often,
    "large objects looked into": large_objects_looked_into,
    "keys that are none": keys_that_are_none,
    "sets": lambda: in_model(x=[stand_in("builtins", "set", list(range(1000)))] * 1000),
    "long ways": lambda: in_model(**{f"x{i}": "${model" + ".transformer" * 30 + "}" for i in range(100_000)}),
}


@pytest.mark.parametrize("name", UNFOLDS)
def test_what_unfolds_without_end_is_refused(name: str) -> None:
    content = UNFOLDS[name]()
    start = time.process_time()
    with pytest.raises(UnreadableCheckpoint, match="unfold into more than"):
        find_arguments(content)
    assert time.process_time() - start < SECONDS


TEXTS = st.sampled_from(
    [
        "a",
        "???",
        "${a}",
        "${model}",
        "${.a}",
        "${..a}",
        "${a.b} ${b}",
        "${a[0]}",
        "${env:A}",
        "${a.${b}}",
        "\\${a}",
        "${",
    ]
)
CLASSES = st.sampled_from(
    [
        ("omegaconf.dictconfig", "DictConfig"), ("omegaconf.nodes", "IntegerNode"), ("argparse", "Namespace"),
        ("lab", "Thing"), ("builtins", "set"), ("copyreg", "_reconstructor"), ("numpy.core.multiarray", "scalar"),
        ("pathlib", "PosixPath"), ("builtins", "getattr"),
    ]
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_graph_of_objects_is_read_or_refused(data: st.DataObject) -> None:
    """Objects of classes that matter here, linked at random, in circles too."""
    keys = st.sampled_from(["a", "b", "model", "_content", "_val", "_parent", "_metadata", "encoder", 0, None])
    made: list[Any] = [{}, [], {}, [], *(stand_in(*data.draw(CLASSES)) for _ in range(6))]
    values = st.one_of(st.sampled_from(made), TEXTS, st.sampled_from([None, True, 7, 0.5, b"\xff", ("a",), 1 << 600]))
    for item in made:
        entries = data.draw(st.dictionaries(keys, values, max_size=4))
        if isinstance(item, dict):
            item.update(entries)
        elif isinstance(item, list):
            item.extend(entries.values())
        else:
            assert isinstance(item, Placeholder)
            item.state = data.draw(st.sampled_from([entries, (entries, None), None, entries.get("a")]))
            item.args = tuple(data.draw(st.lists(values, max_size=3)))
            item.entries, item.items = list(data.draw(st.sampled_from([entries, {}])).items()), []
    try:
        found = find_arguments({"args": data.draw(values), "cfg": data.draw(values)})
    except UnreadableCheckpoint:
        return
    assert_plain([found.model, found.sections], 0)


def assert_plain(value: object, depth: int) -> None:
    assert depth <= MAX_DEPTH + 4
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            assert_plain(item, depth + 1)
    else:
        assert value is None or type(value) in (bool, int, float, str)


def as_we_read_it(theirs: object, unread: set[tuple[str, ...]], path: tuple[str, ...]) -> object:
    """omegaconf's value as ours: '???' is None, and so is text that it makes of containers and of what was never given."""
    if isinstance(theirs, dict):
        return {key: as_we_read_it(item, unread, (*path, key)) for key, item in theirs.items()}
    if isinstance(theirs, list):
        return [as_we_read_it(item, unread, (*path, str(index))) for index, item in enumerate(theirs)]
    is_repr = isinstance(theirs, str) and path in unread and any(sign in theirs for sign in "{[?")
    return None if theirs == "???" or is_repr else theirs


@pytest.mark.slow
def test_random_configs_read_as_omegaconf_reads_them() -> None:
    """Nodes of every type and references of every form, pickled and read back by real omegaconf 2.3."""
    compared = references = 0
    for pickled, expected in run_fairseq(FIXTURES / "arguments" / "trees.py", "7", "800"):
        tree = PickleReader(memoryview(base64.b64decode(pickled)), {}, lambda pid: None).load()
        reader = ConfigReader()
        found = reader.read(tree, live=True)
        assert isinstance(found, dict)
        for key, theirs in expected.items():
            ours = as_we_read_it(theirs, set(reader.not_plain), (key,))
            assert json.dumps(found[key], sort_keys=True) == json.dumps(ours, sort_keys=True), key
            compared += 1
        references += base64.b64decode(pickled).count(b"${")
    assert (compared > 2000, references > 2000) == (True, True)
