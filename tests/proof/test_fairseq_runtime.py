"""Real fairseq, run from here as the reference of a proof: what it computes, what it is told, and how it fails."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.checkpoints import save_edited
from helpers.paths import FAIRSEQ_PYTHON, FIXTURES, MLM, ROOT
from helpers.waiting import wait_until
from prenorm.errors import NotRepresentable, UsageProblem
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.proof.references import builtin
from prenorm.proof.references.fairseq.model import FairseqModel, fairseq_model
from prenorm.proof.references.fairseq.process import FairseqRefused, FairseqWorker
from prenorm.proof.references.fairseq.reference import FairseqReference, Noise
from prenorm.source.arguments import find_arguments

pytestmark = pytest.mark.slow

AT = "encoder.sentence_encoder."
CLASSIFIER = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"
DEEPSPEED = FIXTURES / "dinkytrain-deepspeed-fp16" / "checkpoint.pt"
WORKER = ROOT / "converter" / "prenorm" / "proof" / "references" / "fairseq" / "worker.py"
VARIANTS = FIXTURES / "variants"
IDS = torch.tensor([[0, 5, 17, 9, 230, 2], [0, 8, 2, 1, 1, 1]])
PARTS = {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "out"}


def understood(path: Path, **options: Any) -> Prepared:
    return prepare(open_checkpoint(path), SourceOptions(task="encoder", **options))


def told(prepared: Prepared) -> FairseqModel:
    arguments = find_arguments(prepared.checkpoint.content)
    return fairseq_model(prepared.description, arguments, prepared.canonical, prepared.tensors)


def checkpoints() -> list[Path]:
    """Every checkpoint among the fixtures that is a pre-LayerNorm RoBERTa."""
    found = []
    for folder in sorted(
        {path.parent for path in [*FIXTURES.glob("*/checkpoint*.pt"), *VARIANTS.glob("*/checkpoint*.pt")]}
    ):
        path = min(folder.glob("checkpoint*.pt"))  # of one in several files, any stands for all
        try:
            understood(path)
        except (NotRepresentable, UsageProblem):  # no such model, or one that needs options
            continue
        found.append(path)
    return found


CHECKPOINTS = checkpoints()


@pytest.fixture(scope="module")
def worker() -> Iterator[FairseqWorker]:
    """One process for all tests; fairseq takes seconds to import."""
    assert FAIRSEQ_PYTHON.exists(), "real fairseq is not installed: run `make fairseq-env`"
    with FairseqWorker(FAIRSEQ_PYTHON) as running:
        yield running


def own_reference(prepared: Prepared) -> builtin.BuiltinReference:
    """The built-in reference of the same checkpoint."""
    about = prepared.description
    arguments = builtin.ReferenceSettings(
        attention_heads=about.attention_heads, activation=about.activation, head_activation=about.head_activation,
        pad=about.pad_id, positions=about.positions.kind, position_rows=about.positions.rows,
        scaled=about.scaled_embedding, layers=about.layers_kept,
    )  # fmt: skip
    return builtin.BuiltinReference(prepared.tensors, arguments)


class Run:
    """Everything fairseq computes of a checkpoint on one batch, and everything that the built-in reference computes."""

    def __init__(self, worker: FairseqWorker, path: Path, ids: Tensor, **options: Any) -> None:
        self.prepared = understood(path)
        about = self.prepared.description
        self.heads = [head.name for head in about.heads]
        given: dict[str, Any] = {"logits": about.lm_head, "heads": self.heads, **options}
        self.reference = FairseqReference(worker, told(self.prepared), **given)
        self.real = ids != about.pad_id
        self.found = self._all(self.reference, ids, about.lm_head)
        self.own = self._all(own_reference(self.prepared), ids, about.lm_head)

    def _all(self, reference: Any, ids: Tensor, lm_head: bool) -> dict[str, dict[str, Tensor]]:
        stages = {name: {part: x[self.real] for part, x in parts.items()} for name, parts in reference.stages(ids)}
        whole = torch.zeros(*ids.shape, stages["layer_norm"]["out"].shape[-1], dtype=torch.float64)
        whole[self.real] = stages["layer_norm"]["out"]
        if lm_head:
            stages["logits"] = {"out": reference.logits(whole[self.real])}
        for name in self.heads:
            stages[f"head.{name}"] = reference.classify(whole[:, 0], name)
        return stages

    def apart(self, name: str, part: str) -> float:
        """How far fairseq and the built-in reference are apart."""
        return float((self.found[name][part] - self.own[name][part]).abs().max())

    def excess(self) -> float:
        """How much further they are apart, at worst, than fairseq's casts and float64's rounding explain."""
        return max(
            self.apart(name, part) - (noise := self.reference.measured[name, part]).rounding - 1e-13 * noise.scale
            for name, parts in self.found.items()
            for part in parts
        )


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_fairseq_computes_what_was_recorded_and_what_we_compute(path: Path, worker: FairseqWorker) -> None:
    expected = np.load(path.parent / "expected.npz")
    run = Run(worker, path, torch.from_numpy(expected["input_ids"]))
    layers = run.prepared.description.layers
    assert [*run.found][: layers + 2] == ["embeddings", *(f"layers.{n}" for n in range(layers)), "layer_norm"]
    assert all(run.found[f"layers.{n}"].keys() == PARTS for n in range(layers))
    recorded = {"layer_norm": expected["features"]}
    if "hidden_states" in expected.files:  # not of checkpoints in several files
        recorded |= {"embeddings": expected["hidden_states"][0]}
        recorded |= {f"layers.{n}": expected["hidden_states"][n + 1] for n in range(layers)}
    recorded |= {name: expected[name] for name in expected.files if name == "logits" or name.startswith("head.")}
    assert run.found.keys() - recorded.keys() <= ({"embeddings", *(f"layers.{n}" for n in range(layers))})
    assert recorded.keys() <= run.found.keys()
    for name, values in recorded.items():
        there = torch.from_numpy(values).double()
        apart = (run.found[name]["out"] - (there if name.startswith("head.") else there[run.real])).abs().max()
        assert apart <= run.reference.measured[name, "out"].float32 + 1e-6, name
    for head in run.prepared.description.heads:
        at = f"head.{head.name}"
        if (
            run.prepared.description.pooler_activation != "tanh"
        ):  # the built-in one has tanh, and such heads are refused
            assert run.apart(at, "out") > 0.01
            del run.found[at]["out"]
        elif head.spectral_norm:  # the built-in one rounds the quotient to float32, as the converter does
            assert 1e-9 < run.apart(at, "out") < 2**-24 * 16 * run.reference.measured[at, "out"].scale
            del run.found[at]["out"]
    assert run.excess() <= 0


def test_there_are_as_many_as_there_were() -> None:
    assert len(CHECKPOINTS) >= 30


def test_the_noise_is_that_of_float32_and_of_the_cast_in_gelu(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS)
    before, behind = run.reference.measured["layers.0", "fc1"], run.reference.measured["layers.0", "fc2"]
    assert before.rounding == 0.0
    assert 1e-9 < behind.rounding < 1e-6
    assert 1e-8 < before.float32 < 1e-5
    assert behind.scale == pytest.approx(float(run.found["layers.0"]["fc2"].abs().max()))
    no_gelu = Run(worker, VARIANTS / "activation-relu" / "checkpoint.pt", torch.tensor([[0, 5, 2]]))
    assert {noise.rounding for noise in no_gelu.reference.measured.values()} == {0.0}


def test_float32_alone_has_no_noise_to_show(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS, dtype="float32")
    assert run.reference.facts["compute_dtype"] == "float32"
    assert {noise.float32 for noise in run.reference.measured.values()} == {0.0}
    assert 1e-8 < run.apart("logits", "out") < 1e-5


# -- what is used, and under which names -------------------------------------------------------------------------------


def test_used_is_what_the_outputs_depend_on(worker: FairseqWorker) -> None:
    prepared = understood(CLASSIFIER)
    everything = set(prepared.tensors)
    lm_head = {name for name in everything if name.startswith("encoder.lm_head.")}
    head = {name for name in everything if name.startswith("classification_heads.")}
    assert len(lm_head) == 6
    assert len(head) == 4
    name = prepared.description.heads[0].name
    nowhere = {AT + "version"}
    assert FairseqReference(worker, told(prepared), logits=True, heads=[name]).used == everything - nowhere
    assert FairseqReference(worker, told(prepared), logits=False, heads=[name]).used == everything - nowhere - lm_head
    assert FairseqReference(worker, told(prepared), logits=True).used == everything - nowhere - head


def test_kernel_names_are_handed_over_as_canonical_ones_and_that_is_said(worker: FairseqWorker) -> None:
    prepared = understood(DEEPSPEED, activation="gelu_new")
    reference = FairseqReference(worker, told(prepared))
    assert reference.facts["names"] == "canonical"
    assert f"missing: '{AT}layers.0.self_attn.k_proj.weight'" in str(reference.facts["canonical_because"])
    assert reference.used == set(prepared.tensors) - {AT + "version"}
    found = dict(reference.stages(IDS))
    ours = own_reference(prepared)
    expected = dict(ours.stages(IDS))
    real = IDS != 1
    # The encoder's GELU is the tanh form, which casts nothing, and the LM head's is not.
    assert (found["layer_norm"]["out"] - expected["layer_norm"]["out"])[real].abs().max() < 1e-13
    apart = reference.logits(found["layer_norm"]["out"][real]) - ours.logits(expected["layer_norm"]["out"][real])
    assert 1e-9 < apart.abs().max() <= reference.measured["logits", "out"].rounding + 1e-13


def rename(*pairs: tuple[str, str]) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        for old, new in pairs:
            content["model"] = {key.replace(old, new): value for key, value in content["model"].items()}

    return edit


def pack(content: dict[str, Any]) -> None:
    model = content["model"]
    for n in range(3):
        for part in ("weight", "bias"):
            names = [f"{AT}layers.{n}.self_attn.{name}_proj.{part}" for name in "qkv"]
            model[f"{AT}layers.{n}.self_attn.in_proj_{part}"] = torch.cat([model.pop(name) for name in names])


def old_names(content: dict[str, Any]) -> None:
    pack(content)
    rename(
        ("self_attn_layer_norm", "layer_norms.0"), ("final_layer_norm", "layer_norms.1"),
        ("layernorm_embedding", "emb_layer_norm"), ("encoder.sentence_encoder.", "decoder.sentence_encoder."),
        ("encoder.lm_head.", "decoder.lm_head."),
    )(content)  # fmt: skip


def test_old_names_are_left_to_fairseq_itself(tmp_path: Path, worker: FairseqWorker) -> None:
    new = Run(worker, MLM, IDS)
    old = Run(worker, save_edited(tmp_path / "c.pt", old_names), IDS)
    assert old.reference.facts["names"] == "the checkpoint's"
    assert old.reference.used == set(old.prepared.tensors) - {"decoder.sentence_encoder.version"}
    assert "decoder.sentence_encoder.layers.0.self_attn.in_proj_weight" in old.reference.used
    for name, parts in new.found.items():
        assert all(torch.equal(value, old.found[name][part]) for part, value in parts.items())


def test_fairseq_chooses_the_layers_that_are_kept(tmp_path: Path, worker: FairseqWorker) -> None:
    path = save_edited(
        tmp_path / "c.pt", lambda content: setattr(content["cfg"]["model"], "encoder_layers_to_keep", "0,2")
    )
    run = Run(worker, path, IDS)
    assert run.reference.facts["names"] == "the checkpoint's"
    assert [name for name in run.found if name.startswith("layers.")] == ["layers.0", "layers.1"]
    left_out = {name for name in run.prepared.tensors if ".layers.1." in name}
    assert run.reference.used == set(run.prepared.tensors) - left_out - {AT + "version"}
    assert run.excess() <= 0


def wider(content: dict[str, Any]) -> None:
    """Weights that float32 cannot hold, except for one that is of half precision."""
    torch.manual_seed(0)
    model = content["model"]
    for name, tensor in model.items():
        model[name] = tensor.double() * (1 + 1e-9 * torch.randn(tensor.shape, dtype=torch.float64))
    model["encoder.lm_head.weight"] = model[AT + "embed_tokens.weight"]
    model[AT + "version"] = torch.tensor([3.0])
    name = AT + "layers.1.fc1.bias"
    model[name] = model[name].bfloat16()


def test_float64_and_bfloat16_arrive_as_they_are(tmp_path: Path, worker: FairseqWorker) -> None:
    run = Run(worker, save_edited(tmp_path / "c.pt", wider), IDS)
    run.reference.measured.clear()
    again = dict(run.reference.stages(IDS))["layer_norm"]["out"][run.real]  # float32 was in between
    assert torch.equal(again, run.found["layer_norm"]["out"])
    for name in ("embeddings", "layers.0", "layers.1"):
        for part in ("q_proj", "fc1") if name != "embeddings" else ("out",):
            noise = run.reference.measured[name, part]
            assert run.apart(name, part) <= noise.rounding + 1e-13 * noise.scale
    assert run.apart("embeddings", "out") < 1e-14
    plain = Run(worker, MLM, IDS)
    assert 1e-11 < (plain.found["embeddings"]["out"] - run.found["embeddings"]["out"]).abs().max() < 1e-7


def as_data2vec(content: dict[str, Any]) -> None:
    model = content["model"]
    for name in [name for name in model if name.startswith("encoder.lm_head.")]:
        del model[name]
    model["encoder.regression_head.0.weight"] = torch.ones(3, 48)
    model["encoder._ema"] = {name.removeprefix(AT): torch.zeros(2) for name in list(model)[1:3]}


def test_a_data2vec_file_has_no_logits_to_ask_for(tmp_path: Path, worker: FairseqWorker) -> None:
    path = save_edited(tmp_path / "c.pt", as_data2vec)
    run, plain = Run(worker, path, IDS), Run(worker, MLM, IDS)
    assert run.reference.facts["names"] == "the checkpoint's"
    assert torch.equal(run.found["layer_norm"]["out"], plain.found["layer_norm"]["out"])
    assert not any("_ema" in name or "regression" in name for name in run.reference.used)
    with pytest.raises(ValueError, match="no LM head"):
        FairseqReference(worker, told(run.prepared))


def test_missing_tensors_are_one_clear_error(tmp_path: Path, worker: FairseqWorker) -> None:
    prepared = understood(MLM)
    model = told(prepared)
    gone = f"{AT}layers.1.fc2.bias"
    for tensors in (model.own, model.canonical):
        assert isinstance(tensors, dict)
        del tensors[gone]
    with pytest.raises(FairseqRefused) as raised:
        FairseqReference(worker, model)
    assert (raised.value.kind, raised.value.exit_code, raised.value.problems) == ("tensors", 2, (f"missing: '{gone}'",))


def test_only_the_last_batch_can_be_asked_about(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS)
    features = run.found["layer_norm"]["out"]
    with pytest.raises(ValueError, match="last batch"):
        run.reference.logits(features + 1)
    row, bias = 3, -1e4
    extra = run.reference.extra_row_logits(run.found["logits"]["out"], row, bias)
    own = run.prepared.tensors["encoder.lm_head.bias"].read()[row].double()
    assert torch.equal(extra, run.found["logits"]["out"][:, row : row + 1] - own + bias)


def test_stages_that_nobody_waited_for_do_not_reach_the_next_question(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS)
    assert next(run.reference.stages(IDS.flip(0)))[0] == "embeddings"
    again = dict(run.reference.stages(IDS))
    assert torch.equal(again["layers.2"]["fc1"][run.real], run.found["layers.2"]["fc1"])


def test_a_model_that_was_replaced_is_not_asked(worker: FairseqWorker) -> None:
    first = FairseqReference(worker, told(understood(MLM)))
    FairseqReference(worker, told(understood(CLASSIFIER)))
    with pytest.raises(ValueError, match="another model"):
        next(first.stages(IDS))


# -- planted faults ----------------------------------------------------------------------------------------------------


def test_a_wrong_number_of_heads_shows(worker: FairseqWorker) -> None:
    prepared = understood(MLM)
    model = told(prepared)
    assert isinstance(model.arguments, dict)
    model.arguments["encoder_attention_heads"] = 2
    found, expected = dict(FairseqReference(worker, model).stages(IDS)), dict(own_reference(prepared).stages(IDS))
    real = IDS != 1
    assert (found["layers.0"]["q_proj"] - expected["layers.0"]["q_proj"])[real].abs().max() < 1e-13
    assert (found["layers.0"]["out_proj"] - expected["layers.0"]["out_proj"])[real].abs().max() > 1e-3


def test_swapped_projections_show(worker: FairseqWorker) -> None:
    prepared = understood(MLM)
    model = told(prepared)
    assert isinstance(model.own, dict)
    q, k = (f"{AT}layers.1.self_attn.{part}_proj.weight" for part in "qk")
    model.own[q], model.own[k] = model.own[k], model.own[q]
    reference = FairseqReference(worker, model)
    found, expected = dict(reference.stages(IDS)), dict(own_reference(prepared).stages(IDS))
    real = IDS != 1
    for name, part, differs in (
        ("layers.0", "out", False),
        ("layers.1", "q_proj", True),
        ("layers.1", "v_proj", False),
    ):
        apart = (found[name][part] - expected[name][part])[real].abs().max()
        assert bool(apart > reference.measured[name, part].rounding + 1e-12) is differs


def test_a_wrong_epsilon_shows_beyond_the_noise(monkeypatch: pytest.MonkeyPatch, worker: FairseqWorker) -> None:
    monkeypatch.setattr(builtin, "_EPS", 1e-12)
    run = Run(worker, MLM, IDS)
    for name in ("embeddings", "layer_norm", "logits"):
        assert run.apart(name, "out") > 10 * run.reference.measured[name, "out"].rounding + 1e-9


# -- what fairseq is told, and what the worker may do ------------------------------------------------------------------


def test_text_that_fairseq_would_evaluate_never_reaches_it(tmp_path: Path, worker: FairseqWorker) -> None:
    proof = tmp_path / "it-ran"
    code = f"open({str(proof)!r}, 'w')"

    def attack(content: dict[str, Any]) -> None:
        content["cfg"]["model"].encoder_xformers_att_config = code
        content["cfg"]["model"].activation_dropout = [code]

    path = save_edited(tmp_path / "c.pt", attack)
    prepared = prepare(open_checkpoint(MLM), SourceOptions(task="encoder"))
    arguments = find_arguments(open_checkpoint(path).content)
    assert arguments.find("encoder_xformers_att_config") == code
    model = fairseq_model(prepared.description, arguments, prepared.canonical, prepared.tensors)
    assert code not in str(model.arguments)
    dict(FairseqReference(worker, model).stages(IDS))
    assert not proof.exists()


def _script() -> ast.Module:
    return ast.parse(WORKER.read_text(), feature_version=(3, 8))


def test_the_worker_needs_nothing_of_ours_and_unpickles_nothing() -> None:
    tree = _script()
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).split(".")[0] for name in named} <= {*sys.stdlib_module_names, "numpy", "torch"}
    assert "pickle" not in named
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"torch.load", "np.load", "eval", "exec", "open", "torch.jit.load"}


def test_the_worker_is_python_3_8() -> None:
    """Types of the standard library can be subscribed in annotations only there, which nobody evaluates."""
    tree = _script()
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for place in ("annotation", "returns")
        if (note := getattr(node, place, None)) is not None
        for inner in ast.walk(note)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            annotations |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Subscript) and id(node) not in annotations:
            assert ast.unparse(node.value) not in {"Callable", "Iterator", "dict", "list", "tuple", "set", "type"}
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"removeprefix", "removesuffix", "with_stem"}


def test_the_converter_never_imports_fairseq() -> None:
    for path in (ROOT / "converter").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        named = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        named |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not any(name.split(".")[0] == "fairseq" for name in named), path


# -- interpreters that fail --------------------------------------------------------------------------------------------


def program(path: Path, *lines: str) -> Path:
    """A shell script in place of an interpreter."""
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return path


def fails(python: str | Path, **options: Any) -> UsageProblem:
    with pytest.raises(UsageProblem) as raised:
        FairseqWorker(python, **options)
    assert raised.value.exit_code == 2
    assert raised.value.subject == str(python)
    assert "--fairseq-python" in raised.value.advice
    return raised.value


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go in this test; nothing may be left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("/bin/false", "ended with exit code 1 before it answered"),
        ("/nowhere/bin/python", "cannot be started (No such file or directory)"),
        ("no-such-command", "cannot be started (No such file or directory)"),
        ("/tmp", "cannot be started (Permission denied)"),
    ],
)
def test_what_is_no_interpreter_with_fairseq(python: str, said: str, scratch: Path) -> None:
    assert said in fails(python).cause


def test_a_python_without_fairseq_finds_no_other_beside_the_worker(tmp_path: Path, scratch: Path) -> None:
    script = tmp_path / WORKER.name
    script.write_bytes(WORKER.read_bytes())
    (tmp_path / "fairseq.py").write_text("__version__ = 'none'\n")
    error = fails(sys.executable, script=script)
    assert "cannot import fairseq (ModuleNotFoundError: No module named 'fairseq')" in error.cause


def test_nothing_is_left_behind_when_we_are_killed(tmp_path: Path) -> None:
    """The worker notices, and removes the files. Its fairseq is an empty one, which imports faster."""
    for name in ("fairseq", "fairseq/models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "fairseq" / "models" / "roberta.py").write_text("")
    script = (
        "import os, signal, sys\n"
        "from prenorm.proof.references.fairseq.process import FairseqWorker\n"
        "worker = FairseqWorker(sys.executable)\n"
        "print(worker.folder, worker._process.pid, flush=True)\n"
        "(worker.folder / 'tensors.safetensors').write_bytes(b'weights')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    folder, process = done.stdout.split()
    assert done.returncode == -9
    assert Path(folder).parent == tmp_path
    gone = (Path(folder), Path("/proc", process))
    wait_until(lambda: not any(path.exists() for path in gone), "the end of the worker and its files")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_silent_interpreter_is_ended_with_its_children(tmp_path: Path, scratch: Path) -> None:
    note = tmp_path / "child"
    sleeper = program(tmp_path / "python", "sleep 6000 &", f"echo $! > {note}", "wait")
    assert "gave no answer for 3 seconds" in fails(sleeper, start_seconds=3).cause
    child = int(note.read_text())
    wait_until(lambda: not _lives(child), "the end of the child")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["while :; do echo nonsense nonsense nonsense; done"], "wrote much, but no answer"),
        (["head -c 20000000 /dev/zero"], "wrote much, but no answer"),
        (["echo '@prenorm [1, 2'", "sleep 600"], "gave an answer that is none"),
        (["echo '@prenorm [1, 2]'", "sleep 600"], "gave an answer that is none"),
        (["kill -9 $$"], "was killed by SIGKILL, perhaps for memory"),
        (
            ["echo 'File \"/home/somebody/x y/site.py\", /opt/secret/lib.so: bad' >&2", "exit 3"],
            'ended with exit code 3 before it answered; its last words: File "site.py", lib.so: bad',
        ),
        (["exec >&-", "exec 2>&-", "sleep 600"], "closed its output, and was ended"),
    ],
)
def test_nonsense_is_an_error(lines: list[str], said: str, tmp_path: Path, scratch: Path) -> None:
    assert said in fails(program(tmp_path / "python", *lines), start_seconds=500).cause


HELLO = "import sys, json, time, os, signal\nprint('@prenorm ' + json.dumps({'done': dict(os.environ)}), flush=True)\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("time.sleep(600)", "gave no answer for 2 seconds"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("print('@prenorm nonsense', flush=True); time.sleep(600)", "gave an answer that is none"),
        ("sys.exit('no memory in /usr/lib/libc.so')", "exit code 1 before it answered; its last words: no memory in libc.so"),
    ],
)  # fmt: skip
def test_a_worker_that_fails_at_work(body: str, said: str, tmp_path: Path, scratch: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(f"{HELLO}for line in sys.stdin:\n    {body}\n")
    with (
        FairseqWorker(sys.executable, script=script, answer_seconds=2 if "no answer" in said else 500) as worker,
        pytest.raises(UsageProblem) as raised,
    ):
        worker.call({"do": "load"})
    assert said in raised.value.cause
    assert raised.value.exit_code == 2


def test_activations_that_do_not_fit_are_an_error(tmp_path: Path, scratch: Path) -> None:
    answers = [
        {"done": {"used": [], "classes": [], "warnings": []}},
        {"stage": "embeddings", "file": "0.safetensors", "noise": {}},
    ]
    script = tmp_path / "worker.py"
    script.write_text(
        f"{HELLO}answers = {answers!r}\nfor line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if request['do'] == 'run':\n"
        "        open(request['folder'] + '/0.safetensors', 'wb').write(b'nonsense')\n"
        "    print('@prenorm ' + json.dumps(answers.pop(0)), flush=True)\n"
    )
    with FairseqWorker(sys.executable, script=script) as worker:
        reference = FairseqReference(worker, told(understood(MLM)))
        with pytest.raises(UsageProblem, match="answer for embeddings is none that can be compared"):
            next(reference.stages(IDS))


def test_tokens_do_not_reach_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://somewhere")
    script = tmp_path / "worker.py"
    script.write_text(HELLO)
    with FairseqWorker(sys.executable, script=script) as worker:
        assert worker.environment["PATH"] == os.environ["PATH"]
        assert "HF_TOKEN" not in worker.environment
        assert "HTTPS_PROXY" not in worker.environment
        assert worker.environment["CUDA_VISIBLE_DEVICES"] == ""


def test_noise_is_the_largest_of_all_batches() -> None:
    noise = Noise()
    noise.add({"float32": 2.0, "rounding": 0.5, "scale": 3.0})
    noise.add({"float32": 1.0, "rounding": 0.75})
    assert noise == Noise(2.0, 0.75, 3.0)
