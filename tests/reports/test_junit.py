"""The JUnit XML: one case per check, nothing green without a proof, well-formed whatever the report holds."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from helpers.report_cases import bare, hostile, render, synthetic


def suite(report: dict[str, object]) -> Element:
    root = ElementTree.fromstring(render(report, ".xml").encode())
    (only,) = root.findall("testsuite")
    for counter, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        assert int(only.get(counter, "-1")) == int(root.get(counter, "-1")) == len(list(root.iter(tag)))
    assert all(case.get("name") and case.get("classname") and case.get("time") for case in only.iter("testcase"))
    return only


def outcomes(report: dict[str, object]) -> dict[str | None, str]:
    bad = ("failure", "error")
    return {
        case.get("name"): next((item.tag for item in case if item.tag in bad), "passed")
        for case in suite(report).iter("testcase")
    }


def test_a_case_per_check() -> None:
    assert outcomes(synthetic()) == dict.fromkeys(("logits", "modules", "tensors", "tokenizer ids"), "passed")
    found = suite(bare(synthetic()))
    properties = {item.get("name"): item.get("value") for item in found.iter("property")}
    assert properties["source.sha256"] == synthetic()["source"]["sha256"]
    assert properties["source.bytes"] == "4272118913"
    assert (properties["verdict"], properties["environment.torch"]) == ("passed", "2.13.0+cpu")
    assert "runtimes" not in properties
    case = next(found.iter("testcase"))
    assert case.get("classname") == "parity.checkpoint_best_pt"
    assert "kl_mean: 3.9e-18" in str(case.findtext("system-out"))


def test_failures_carry_message_divergence_and_hint() -> None:
    report = synthetic(fail_at="layer.1.attention.self.key")
    assert outcomes(report) == {
        "logits": "failure",
        "modules": "failure",
        "tensors": "passed",
        "tokenizer ids": "passed",
    }
    failure = suite(report).findall("testcase")[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "modules: 1.2e-01, tolerance 4.3e-10"
    assert str(failure.text).splitlines()[1:] == [
        "modules: roberta_prelayernorm.encoder.layer.1.attention.self.key differs by 3.1e-02, tolerance 4.3e-10",
        "first divergence: roberta_prelayernorm.encoder.layer.1.attention.self.key",
        "rule: encoder.sentence_encoder.layers.{n}.self_attn.k_proj.{p} -> ...key.{p}",
        "hint: Query and key have the same shape: were their rules swapped?",
    ]
    assert "config: layer_norm_eps is 1e-12, must be 1e-05" in str(suite(report).findtext("system-out"))


def test_unequal_tensors_and_problems_are_listed() -> None:
    report = synthetic()
    report |= {"passed": False, "verdict": "failed", "problems": ["source tensor 'a' is neither moved nor dropped"]}
    report["checks"][2] |= {"passed": False, "unequal": 1, "problems": 1}
    report["tensors"][0]["equal"] = False
    text = str(suite(report).findtext("testcase/failure"))
    assert "tensors: 1 of 61 differ in a bit, 1 problem" in text
    assert "source tensor 'a' is neither moved nor dropped" in text
    assert f"differs in a bit: {report['tensors'][0]['target']}" in text


def test_nothing_is_green_without_a_proof() -> None:
    assert outcomes({**synthetic(), "checks": []}) == {"verdict": "error"}
    assert outcomes({**synthetic(), "passed": False, "verdict": "failed"})["verdict"] == "failure"
    assert outcomes({**synthetic(), "problems": ["p"]})["verdict"] == "failure"
    report = synthetic() | {"passed": False, "verdict": "not judged"}
    report["checks"][0]["judged"] = False
    assert outcomes(report) == {"logits": "error", "modules": "passed", "tensors": "passed", "tokenizer ids": "passed"}


def test_hostile_reports_are_well_formed_and_bounded() -> None:
    found = suite(hostile())
    assert len(found.findall("testcase")) == 4
    assert {item.tag for item in found.iter()} == {
        "testsuite", "properties", "property", "testcase", "failure", "system-out",
    }  # fmt: skip
    assert all(len(value) <= 6_000 for item in found.iter() for value in item.attrib.values())
    assert r"\u202e" in render(hostile(), ".xml")
