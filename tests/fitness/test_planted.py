"""What no folder can show: libraries that compute something else, models that do not train, packages that are not there."""

from __future__ import annotations

import copy
import importlib
import json
import shutil
import sys
import types
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import transformers

from helpers.commands import run_main
from helpers.fitness_folders import without
from helpers.hub import client_environment, serve_hub
from helpers.paths import BPE, MLM, SCRIPTS
from helpers.workers import run_worker
from prenorm import convert
from prenorm.errors import UsageProblem
from prenorm.fitness import CHECKS, finding, judge_folder, sentence_vectors
from prenorm.fitness.candidate import Candidate
from prenorm.reports import SUFFIXES, Check, Report, read, render
from prenorm.reports.text import Outcome

pytestmark = pytest.mark.slow

SCHEMA: dict[str, Any] = json.loads(files("prenorm.reports").joinpath("schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(MLM, tmp_path_factory.mktemp("planted") / "out", bpe_dir=BPE).output


def only(folder: Path, *names: str) -> Report:
    return judge_folder(folder, without=[name for name, _, _ in CHECKS if name not in names])


def one(folder: Path, name: str) -> Check:
    return only(folder, name).check(name)


def problems(report: Report, name: str) -> list[str]:
    """What the report says against the folder, by that check."""
    return [text.removeprefix(f"{name}: ") for text in report.disagreements if text.startswith(f"{name}: ")]


def test_an_export_with_another_gelu_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tanh form is off by 5e-4 at most, which a tolerance of 1e-3 would let through."""
    own = torch.onnx.export

    def other(model: Any, *given: Any, **options: Any) -> Any:
        spoiled = copy.deepcopy(model)
        for layer in spoiled.roberta_prelayernorm.encoder.layer:
            layer.intermediate.intermediate_act_fn = torch.nn.GELU(approximate="tanh")
        return own(spoiled, *given, **options)

    monkeypatch.setattr(torch.onnx, "export", other)
    check = one(folder, "ONNX")
    assert check.outcome == "failed"
    assert 5 * (check.tolerance or 0) < check.metrics["max_abs_diff"] < 1e-3


def test_a_weight_without_a_gradient_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Candidate.load

    def frozen(self: Candidate, *given: Any, **options: Any) -> Any:
        model = own(self, *given, **options)
        model.roberta_prelayernorm.embeddings.word_embeddings.weight.requires_grad_(False)
        return model

    monkeypatch.setattr(Candidate, "load", frozen)
    assert problems(only(folder, "fine-tuning"), "fine-tuning") == [
        "1 weights have no gradient: roberta_prelayernorm.embeddings.word_embeddings.weight"
    ]


@pytest.mark.parametrize("name", ["fine-tuning", "Trainer"])
def test_a_loss_that_does_not_fall_fails(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    check = one(folder, name)
    assert check.outcome == "failed"
    assert "the loss does not fall" in check.finding


def test_the_values_are_compared_whatever_transformers_says_of_the_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings that were initialized anew, under a loading report that is clean."""
    own = Candidate.load_with_info

    def anew(self: Candidate, *given: Any, **options: Any) -> Any:
        model, info = own(self, *given, **options)
        torch.nn.init.normal_(model.get_input_embeddings().weight)
        return model, info

    monkeypatch.setattr(Candidate, "load_with_info", anew)
    report = only(folder, "AutoModel", "AutoModelForMaskedLM", "new heads")
    assert problems(report, "AutoModel") == [
        "1 weights of RobertaPreLayerNormModel have other values than the files: embeddings.word_embeddings.weight",
    ]
    assert [check.outcome for check in report.checks if check.outcome != "not run"] == ["failed"] * 3


def test_weights_without_a_tensor_are_found_whatever_transformers_says_of_the_keys(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Candidate.load_with_info

    def silent(self: Candidate, *given: Any, **options: Any) -> Any:
        model, info = own(self, *given, **options)
        return model, {**info, "missing_keys": [key for key in info["missing_keys"] if "pooler" in key]}

    lacking = Path(shutil.copytree(folder, tmp_path / "lacking"))
    without("roberta_prelayernorm.encoder.layer.2.output.dense.bias")(lacking)
    monkeypatch.setattr(Candidate, "load_with_info", silent)
    assert problems(only(lacking, "AutoModel"), "AutoModel") == [
        "1 weights of RobertaPreLayerNormModel have no tensor in the files, and are random: "
        "encoder.layer.2.output.dense.bias",
    ]


def test_what_saving_changes_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import RobertaPreLayerNormForMaskedLM as Model

    own = Model.save_pretrained

    def rounded(self: Any, *given: Any, **options: Any) -> None:
        with torch.no_grad():
            self.lm_head.layer_norm.weight *= 1.0001
        own(self, *given, **options)

    monkeypatch.setattr(Model, "save_pretrained", rounded)
    assert "computes something else" in one(folder, "save and reload").finding


def test_a_head_that_comes_loose_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import RobertaPreLayerNormForMaskedLM as Model

    own = Model.from_pretrained

    def loose(place: str, **options: Any) -> Any:
        loaded = own(place, **options)
        if Path(place).name == "saved":
            model, _ = loaded
            model.lm_head.decoder.weight = torch.nn.Parameter(model.lm_head.decoder.weight.detach().clone())
        return loaded

    monkeypatch.setattr(Model, "from_pretrained", loose)
    report = only(folder, "save and reload")
    assert report.check("save and reload").outcome == "failed"
    assert problems(report, "save and reload") == [
        "the LM head is not tied to the embedding after saving and loading; config.json says True"
    ]


def test_sentence_vectors_by_another_pooling_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = sentence_vectors.library

    def with_first_token(name: str) -> Any:
        package = own(name)

        def make(*given: Any, **options: Any) -> Any:
            model = package.SentenceTransformer(*given, **options)
            pooling = importlib.import_module("sentence_transformers.sentence_transformer.modules").Pooling(
                48, pooling_mode="cls"
            )
            return package.SentenceTransformer(modules=[model[0], pooling], device="cpu")

        return types.SimpleNamespace(SentenceTransformer=make)

    monkeypatch.setattr(sentence_vectors, "library", with_first_token)
    assert "from the means of the last hidden states" in one(folder, "sentence-transformers").finding


def fewer_answers(found: Any) -> Any:
    return found[1:]


PIPELINES = {
    "pipeline fill-mask": "FillMaskPipeline",
    "pipeline feature-extraction": "FeatureExtractionPipeline",
}


def doubled(found: Any) -> Any:
    return [[[2 * value for value in token] for token in text] for text in found]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("pipeline fill-mask", fewer_answers, "the probabilities sum to 0.9"),
        ("pipeline fill-mask", lambda found: found[::-1], "the answers are not ranked"),
        ("pipeline feature-extraction", doubled, "the pipeline's vectors and the model's differ by"),
    ],
)
def test_a_pipeline_that_answers_otherwise_fails(
    name: str, change: Callable[[Any], Any], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = getattr(transformers, PIPELINES[name])  # imported only now: its imports take seconds
    own = pipeline.__call__
    monkeypatch.setattr(pipeline, "__call__", lambda *given, **options: change(own(*given, **options)))
    report = only(folder, name)
    assert report.check(name).outcome == "failed"
    assert any(said in text for text in problems(report, name)), report.disagreements


@pytest.mark.parametrize(
    ("missing", "name"),
    [("onnxruntime", "ONNX"), ("accelerate", "Trainer"), ("sentence-transformers", "sentence-transformers")],
)
def test_what_is_not_installed_is_not_run_and_every_form_says_so(
    missing: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = finding.is_installed
    monkeypatch.setattr(finding, "is_installed", lambda package: package != missing and own(package))
    report = only(folder, "files", name)
    line = next(item for item in report.to_dict()["checks"] if item["name"] == name)
    assert line == {
        "name": name, "outcome": "not run", "detail": f"{missing} is not installed", "judged": False, "passed": False,
    }  # fmt: skip
    assert report.passed  # by the check that was run
    content = json.loads(render(report, ".json"))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    assert content.keys() <= SCHEMA["properties"].keys()
    assert read(content).outcome is Outcome.PASSED
    forms = {suffix: render(report, suffix) for suffix in SUFFIXES}
    assert all(f"{missing} is not installed" in text for text in forms.values())
    assert f'<skipped message="not run: {missing} is not installed" />' in forms[".xml"]
    assert "➖ not run" in forms[".md"]
    assert "not run" in forms[".html"]


def test_nothing_run_is_no_pass(folder: Path) -> None:
    report = only(folder)
    assert not report.passed
    assert read(report.to_dict()).outcome is Outcome.FAILED


def test_a_check_left_out_of_a_proof_of_parity_is_a_failed_one(folder: Path) -> None:
    """'not run' is for reports of fitness: a proof's failed check does not become harmless by that word."""
    proof = json.loads((folder / "parity_report.json").read_text())
    proof["checks"][0] |= {"passed": False, "outcome": "not run"}
    assert read(proof).outcome is Outcome.FAILED
    with pytest.raises(UsageProblem, match="'kind' must be"):
        read({**proof, "kind": "other"})


def test_without_transformers_there_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert run_main(monkeypatch, "verify", folder, "--folder-only") == 2
    assert capsys.readouterr().err == (
        "Error: --folder-only needs transformers, which is not installed. "
        'Install it, in the clone of prenorm: pip install ".[fitness]".\n'
    )


@pytest.mark.parametrize("arguments", [(), ("--golden", "x.npz", "--folder-only"), ("x.pt", "--folder-only")])
def test_there_is_one_thing_to_judge_by(
    arguments: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_main(monkeypatch, "verify", *arguments, folder) == 2


def test_the_command_shows_the_table_and_exits_by_the_verdict(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prenorm.fitness.CHECKS", CHECKS[:4])
    assert run_main(monkeypatch, "verify", folder, "--folder-only", "--json", "--report", tmp_path / "r.html") == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "fitness"
    page = (tmp_path / "r.html").read_text()
    assert "Fitness of" in page
    body = page.partition("<main>")[2].partition("</main>")[0].lower()
    # The one row that speaks of a checkpoint is the one that says what was not judged without it.
    not_judged = "what the checkpoint computes, and what its tokenizer makes of a text; give checkpoint,"
    assert not_judged in body
    assert "checkpoint" not in body.replace(not_judged, "")
    (folder / "model.py").touch()
    try:
        assert run_main(monkeypatch, "verify", folder, "--folder-only", "--report", tmp_path / "r.xml") == 1
    finally:
        (folder / "model.py").unlink()
    shown = capsys.readouterr().out
    assert "✗ custom code: model.py is code" in shown
    assert "Verdict: failed" in shown
    assert '<failure type="FitnessFailed" message="custom code: model.py is code">' in (tmp_path / "r.xml").read_text()


def test_a_repo_on_the_hub_is_tried_out_by_its_id(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cases.json").write_text(
        json.dumps({"repo": ["lab/model", ["ONNX", "Trainer", "sentence-transformers"]]})
    )
    with serve_hub(tmp_path / "state") as hub:
        commit = hub.seed("lab/model", folder).oid
        for name, value in client_environment(hub, tmp_path / "cache").items():
            monkeypatch.setenv(name, value)
        worker = SCRIPTS / "judge_folders.py"
        report = run_worker(Path(sys.executable), worker, tmp_path / "cases.json")["reports"]["repo"]
    assert report["disagreements"] == []
    assert report["target"]["folder"] == "lab/model"
    assert commit in str(report["target"]["notes"])
    assert {"name": "AutoTokenizer", "outcome": "passed"}.items() <= report["checks"][8].items()
