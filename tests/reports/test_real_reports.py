"""Reports of real conversions, one that passes and one that fails: they keep to the schema, and every form shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

import prenorm_model.torch.embeddings
from helpers.paths import BPE, MLM
from helpers.report_cases import OPTIONAL, Report, bare, hostile, render, synthetic
from prenorm import convert, reports
from prenorm.reports import ParityFailed, read
from prenorm.reports.canonical import dump
from prenorm.reports.text import Outcome

pytestmark = pytest.mark.slow

SCHEMA: dict[str, Any] = json.loads(files("prenorm.reports").joinpath("schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Report]]:
    """A passing and a failing report, as they are after a way through JSON."""
    base = tmp_path_factory.mktemp("real")
    passing = convert(MLM, base / "passing", bpe_dir=BPE).report
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ParityFailed) as caught:
        # padded rows begin one position too early
        patch.setattr(
            prenorm_model.torch.embeddings,
            "positions_from_ids",
            lambda ids, pad, past=0: (ids != pad) * (ids != pad).cumsum(1) + pad - 1,
        )
        convert(MLM, base / "failing", bpe_dir=BPE)
    assert caught.value.report is not None
    failing = caught.value.report
    yield {name: json.loads(reports.render(r, ".json")) for name, r in (("passing", passing), ("failing", failing))}


def validate(report: Report) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(report)


@pytest.mark.parametrize("name", ["passing", "failing"])
def test_real_reports_keep_to_the_schema_and_no_key_is_undocumented(name: str, real: dict[str, Report]) -> None:
    validate(real[name])
    assert real[name].keys() <= SCHEMA["properties"].keys()


@pytest.mark.parametrize(("name", "outcome"), [("passing", Outcome.PASSED), ("failing", Outcome.FAILED)])
def test_every_form_shows_a_real_report(name: str, outcome: Outcome, real: dict[str, Report]) -> None:
    report = real[name]
    assert read(report).outcome is outcome
    assert read(report).contradictions == []
    for suffix in (".md", ".html", ".xml"):
        shown = render(report, suffix)
        assert report["source"]["sha256"] in shown
        assert outcome.value in shown
    assert (outcome is Outcome.FAILED) == ("<failure" in render(report, ".xml"))
    if outcome is Outcome.FAILED:
        assert "`roberta_prelayernorm.embeddings` is the first to differ" in render(report, ".md")
        assert "first beyond tolerance: embeddings" in render(report, ".html")


def test_the_schemas_file_is_made_from_the_data_model() -> None:
    assert dump(reports.schema()) == files("prenorm.reports").joinpath("schema.json").read_text("utf-8")


def test_the_schema_is_one_and_knows_every_optional_key() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert not set(SCHEMA["required"]) & set(OPTIONAL)
    assert set(OPTIONAL) <= SCHEMA["properties"].keys()
    for report in (synthetic(), synthetic(fail_at="layer.1"), bare(synthetic())):
        validate(json.loads(render(report, ".json")))


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"verdict": "fine"},
        {"checks": []},
        {"checks": [{"name": "logits", "passed": True}]},
        {"modules": [{"name": "a", "max_abs_diff": -1.0, "range": 1.0, "tolerance": 1.0, "passed": True}]},
        {"source": {"file": "a", "bytes": 1, "sha256": "A" * 64}},
        {"positions": {"modules": ["a"], "max_abs_diff": [["x"]]}},
        {"divergence": {"hint": "no module"}},
        {"tensors": [{"source": "a", "target": "b"}]},
    ],
)
def test_the_schema_refuses(change: Report) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate({**synthetic(), **change})


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_the_schema_misses_what_is_required(key: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
        validate({name: value for name, value in synthetic().items() if name != key})


def test_hostile_texts_are_no_matter_of_the_schema() -> None:
    """Names may hold anything; what the schema refuses in such a report are its absurd numbers."""
    errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors(json.loads(dump(hostile())))
    assert {error.path[0] for error in errors} >= {"modules"}
