"""Training arguments in every form that fairseq and its forks save them, held against what real programs read back.

The files in fixtures/arguments come from real fairseq, omegaconf 2.0 and 2.3 and Python 2 (`make.py` there says which), and
the JSON beside each is what those programs themselves read.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import FIXTURES, MLM
from helpers.stand_ins import config, namespace, stand_in, value_node
from prenorm.checkpoint.pickle.placeholders import GlobalName, Placeholder
from prenorm.errors import UnreadableCheckpoint
from prenorm.parts import open_checkpoint
from prenorm.source.arguments import Arguments, find_arguments
from prenorm.source.arguments.containers import ConfigReader
from prenorm.source.arguments.foreign import NotPlain, single
from prenorm.source.contents import model_tensors
from prenorm.source.description import describe
from prenorm.source.layouts import normalize

FILES = sorted((FIXTURES / "arguments").glob("*/*.pt"))
GENERATIONS = ("omegaconf-2.0.6", "omegaconf-2.3.0")
ROBERTA = {"arch": "roberta_base", "encoder_attention_heads": 4}


def content_of(name: str) -> dict[str, Any]:
    return dict(open_checkpoint(FIXTURES / "arguments" / f"{name}.pt").content)


def never_given_as_none(value: object) -> object:
    """omegaconf reads a value that was never given as the text '???'; for us there is none."""
    if isinstance(value, dict):
        return {key: never_given_as_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [never_given_as_none(item) for item in value]
    return None if value == "???" else value


def exactly(value: object) -> str:
    """As text, so that True is not 1 and 1 is not 1.0."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_plain_values_are_those_the_programs_read(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    content = open_checkpoint(path).content
    for name in ("args", "cfg"):
        reader = ConfigReader()
        found = reader.read(content.get(name), live=name == "cfg")
        assert exactly(found) == exactly(never_given_as_none(expected[name]))
        assert reader.not_plain == {}
    assert not {"omegaconf", "fairseq", "lab_plugin", "hydra"} & sys.modules.keys()


def test_every_generation_has_its_fixtures() -> None:
    assert len(FILES) == 17
    assert {path.parent.name for path in FILES} == {*GENERATIONS, "python-2.7"}


NESTED = "and in it 'transformer' and 'transformer.encoder' and 'transformer.quant_noise'"


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("name", "origin", "arch", "task", "positions", "layers"),
    [
        ("whole-config", "cfg['model'], a Namespace in a DictConfig", "roberta_base", "masked_lm", 128, None),
        ("finetuned", "cfg['model'], a Namespace", "roberta_base", "sentence_prediction", 128, None),
        ("sections-are-configs", f"cfg['model'], a DictConfig, {NESTED}", "data2vec_text", "masked_lm", 512, (0, 2)),
        ("args-is-a-section", f"args, a DictConfig, {NESTED}", "data2vec_text", None, 512, (0, 2)),
        ("dataclass", f"cfg['model'], a dictionary, {NESTED}", "lab", "masked_lm", 1024, None),
        ("settings", "args, a Settings", "roberta_base", None, None, None),
    ],
)
def test_arguments_and_where_they_were_found(
    generation: str, name: str, origin: str, arch: str, task: str, positions: int, layers: tuple[int, ...] | None
) -> None:
    found = find_arguments(content_of(f"{generation}/{name}"))
    assert found.origin == origin
    assert (found.arch, found.task, found.max_positions, found.layers_to_keep) == (arch, task, positions, layers)
    assert (found.find("encoder_attention_heads"), dict(found.unread)) == (4, {})


@pytest.mark.parametrize("name", ["legacy", "legacy-protocol-0", "legacy-protocol-1"])
def test_arguments_that_python_2_pickled(name: str) -> None:
    found = find_arguments(content_of(f"python-2.7/{name}"))
    assert (found.origin, found.arch, found.task) == ("args, a Namespace", "roberta_base", "masked_lm")
    assert (found.find("encoder_layers"), found.layers_to_keep) == (3, (0, 2))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_nested_names_are_found_flat(generation: str) -> None:
    found = find_arguments(content_of(f"{generation}/sections-are-configs"))
    names = (
        "encoder_embed_dim",
        "encoder_normalize_before",
        "activation_fn",
        "no_scale_embedding",
        "quant_noise_scalar",
    )
    assert [found.find(name) for name in names] == [48, True, "gelu", True, 0.0]
    # fairseq reads the older name of `activation_dropout` where the newer is 0
    assert find_arguments(content_of(f"{generation}/dataclass")).find("activation_dropout") == 0.2


@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_a_head_is_chosen_by(generation: str) -> None:
    found = find_arguments(content_of(f"{generation}/finetuned"))
    names = ("classification_head_name", "num_classes", "regression_target", "ranking_head_name")
    assert [found.find(name) for name in names] == ["topic", 3, False, None]
    assert found.sections["criterion"]["_name"] == "sentence_prediction"


def test_arguments_are_looked_for_where_fairseq_keeps_them() -> None:
    sections = {"task": {"num_classes": 3}, "criterion": {"num_classes": 4, "ranking_head_name": "r"}}
    found = Arguments("", {"num_classes": 5, "seed": 6, "encoder_layers": None}, sections)
    assert [found.find(name) for name in ("num_classes", "ranking_head_name", "seed", "encoder_layers")] == [
        3,
        "r",
        6,
        None,
    ]
    assert found.find("num_classes", "criterion", "task") == 4
    # roberta takes the length of its training samples where no number of positions is given
    assert Arguments("", {"tokens_per_sample": 100, "max_source_positions": 50}).max_positions == 100


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", ["whole-config", "finetuned"])
def test_a_checkpoint_with_a_pickled_config_is_described(generation: str, name: str) -> None:
    checkpoint = open_checkpoint(MLM)
    canonical = normalize(model_tensors(checkpoint))
    content = {**checkpoint.content, "cfg": content_of(f"{generation}/{name}")["cfg"]}
    described = describe(replace(checkpoint, content=content), canonical, find_arguments(content))
    assert (described.attention_heads, described.dropout, described.arch) == (4, 0.15, "roberta_base")


@pytest.mark.parametrize(
    ("content", "origin", "heads"),
    [
        ({}, "none", None),
        ({"args": None, "cfg": None}, "none", None),
        ({"args": namespace(), "cfg": {}}, "none", None),
        ({"args": namespace(**ROBERTA)}, "args, a Namespace", 4),
        ({"args": dict(ROBERTA)}, "args, a dictionary", 4),
        ({"args": stand_in("lab", "Options", **ROBERTA)}, "args, an Options", 4),
        ({"args": stand_in("lab", "\x1b[31m", **ROBERTA)}, "args, an object", 4),
        ({"args": {"model": ROBERTA, "task": {"_name": "masked_lm"}}}, "args['model'], a dictionary", 4),
        ({"cfg": dict(ROBERTA)}, "cfg, a dictionary", 4),
        ({"cfg": {"model": config(value_node(ROBERTA))}}, "cfg['model'], a DictConfig", 4),
        ({"cfg": config({"model": value_node(ROBERTA)})}, "cfg['model'], a dictionary in a DictConfig", 4),
        ({"cfg": {"task": {"_name": "masked_lm"}}}, "cfg, a dictionary without a section 'model'", None),
        # as in fairseq, whose upgrade of old checkpoints puts what `args` says in place of any cfg
        (
            {"args": namespace(**ROBERTA), "cfg": {"model": {"encoder_attention_heads": 8}}},
            "args, a Namespace; there is a cfg too, which fairseq does not read then",
            4,
        ),
        ({"args": namespace(), "cfg": {"model": {"encoder_attention_heads": 8}}}, "cfg['model'], a dictionary", 8),
    ],
)
def test_wherever_they_are(content: dict[str, object], origin: str, heads: int | None) -> None:
    found = find_arguments(content)
    assert (found.origin, found.find("encoder_attention_heads")) == (origin, heads)


def test_sections_that_are_only_a_name() -> None:
    found = find_arguments({"cfg": {"model": ROBERTA, "task": "masked_lm", "criterion": "model", "seed": "text"}})
    assert (found.task, found.sections["criterion"]) == ("masked_lm", {"_name": "model"})
    assert "seed" not in found.sections
    assert find_arguments({"args": namespace(**ROBERTA, task="sentence_ranking")}).task == "sentence_ranking"


def test_recorded_flat_names_go_before_nested_ones() -> None:
    model = {"encoder_attention_heads": None, "encoder_layers": 3, "encoder": {"attention_heads": 4, "layers": 6}}
    found = find_arguments({"cfg": {"model": model}})
    assert (found.find("encoder_attention_heads"), found.find("encoder_layers")) == (4, 3)


def test_what_cannot_be_read_is_told_and_never_guessed() -> None:
    unread = {
        "seed": "${oc.env:SEED}",
        "nested": "${model.${model.arch}}",
        "escaped": "\\${model.arch}",
        "object": object(),
    }
    found = find_arguments({"cfg": {"model": {**ROBERTA, **unread, "given": "???"}}})
    assert [found.find(name) for name in (*unread, "given")] == [None] * 5
    assert list(found.unread) == [f"model.{name}" for name in unread]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"activation_fn": "${oc.env:ACTIVATION}"}, "model.activation_fn"),
        ({"transformer": {"encoder": {"learned_pos": "${gone}"}}}, "model.transformer.encoder.learned_pos"),
        ({"transformer": stand_in("lab", "Opaque", 1, 2)}, "model.transformer"),
        ({"encoder": "${encoder}"}, "model.encoder"),
    ],
)
def test_an_unreadable_argument_that_decides_is_an_error(model: dict[str, object], said: str) -> None:
    with pytest.raises(UnreadableCheckpoint, match=f"argument {said}, .* cannot be read"):
        find_arguments({"cfg": {"model": {**ROBERTA, **model}}})


@pytest.mark.parametrize("where", ["args", "cfg"])
def test_arguments_in_an_unreadable_form_are_an_error(where: str) -> None:
    with pytest.raises(UnreadableCheckpoint, match=f"{where} is an Opaque"):
        find_arguments({where: stand_in("lab", "Opaque", 1, 2)})


@pytest.mark.parametrize(
    ("recorded", "layers"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("0,2,4", (0, 2, 4)),
        ("33, 1", (1, 33)),
        ([3, 1], (1, 3)),
        (["1"], (1,)),
    ],
)
def test_layers_to_keep(recorded: object, layers: tuple[int, ...] | None) -> None:
    assert Arguments("", {"encoder_layers_to_keep": recorded}).layers_to_keep == layers


@pytest.mark.parametrize("recorded", ["0,,2", "all", "1,1", [0, -1], [0, 0], [None], 3, {"0": 1}, [True], "²"])
def test_layers_to_keep_that_are_none(recorded: object) -> None:
    with pytest.raises(UnreadableCheckpoint, match="encoder_layers_to_keep"):
        _ = Arguments("", {"encoder_layers_to_keep": recorded}).layers_to_keep


def test_flags() -> None:
    found = Arguments("", {"yes": True, "no": False, "one": 1, "zero": 0, "text": "False", "list": [0]})
    assert [found.flag(name) for name in ("yes", "no", "one", "zero", "absent")] == [True, False, True, False, None]
    for name in ("text", "list"):
        with pytest.raises(UnreadableCheckpoint, match=f"the argument {name}=.* is neither true nor false"):
            found.flag(name)


def numpy_scalar(code: str, order: str, raw: bytes) -> Placeholder:
    dtype = Placeholder(GlobalName("numpy", "dtype"), (code, False, True))
    dtype.state = (3, order, None, None, None, -1, -1, 0)
    return Placeholder(GlobalName("numpy.core.multiarray", "scalar"), (dtype, raw))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (numpy_scalar("i4", ">", b"\0\0\1\2"), 258),
        (numpy_scalar("U2", ">", b"\0\0\0a\0\0\0\xe9"), "aé"),
        (stand_in("pathlib", "WindowsPath", "c:\\", "data"), "c:\\data"),
        (stand_in("pathlib._local", "PosixPath", "/", "data"), "/data"),
        (stand_in("builtins", "getattr", GlobalName("lab", "Activation"), "gelu"), "gelu"),  # enums of Python 3.11
        (GlobalName("torch", "bfloat16"), "torch.bfloat16"),
        (numpy_scalar("i4", "<", b"\1"), None),
        (numpy_scalar("V8", "<", b"\1" * 8), None),
        (stand_in("builtins", "getattr", GlobalName("os", "path"), "system"), None),
        (stand_in("builtins", "eval", "12"), None),
        (stand_in("decimal", "Decimal", "12"), None),
        (GlobalName("torch", "nn"), None),
        (b"\xff", None),
    ],
)
def test_single_values(value: object, plain: object) -> None:
    found = single(value)
    assert (None if isinstance(found, NotPlain) else found) == plain
    assert isinstance(found, NotPlain) == (plain is None)
