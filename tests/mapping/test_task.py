"""What a folder is for: chosen from what the checkpoint was trained for, or by the user; heads, labels, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from helpers.checkpoints import save_edited
from helpers.commands import run_command
from helpers.paths import MLM
from helpers.variants import VARIANTS
from prenorm import convert, inspect
from prenorm.errors import NotRepresentable, PrenormError, UsageProblem
from prenorm.source.arguments import Arguments
from prenorm.source.training import trained_head

CLASSIFIER = VARIANTS / "sequence-classification" / "checkpoint.pt"
LABELS = CLASSIFIER.with_name("label_dict.txt")
RANKING = VARIANTS / "sentence-ranking" / "checkpoint.pt"
HEAD = "classification_heads.sentence_classification_head."
Content = dict[str, Any]
# Of fairseq and its examples: these train heads, as far as is known.
KNOWN_CRITERIA = {"sentence_prediction", "sentence_prediction_adapters", "sentence_prediction_r3f", "sentence_ranking"}
KNOWN_TASKS = {"sentence_prediction", "sentence_prediction_adapters", "sentence_ranking", "commonsense_qa"}


def add_head(name: str, outputs: int = 3) -> Callable[[Content], None]:
    def edit(content: Content) -> None:
        model = content["model"]
        for part in ("dense.weight", "dense.bias"):
            model[f"classification_heads.{name}.{part}"] = model[HEAD + part] * 2
        for part in ("out_proj.weight", "out_proj.bias"):
            model[f"classification_heads.{name}.{part}"] = model[HEAD + part][:outputs].clone()

    return edit


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def test_labels_come_from_the_label_dictionary(tmp_path: Path) -> None:
    convert(CLASSIFIER, tmp_path / "out", label_dict=LABELS)
    names = [line.split()[0] for line in LABELS.read_text().splitlines() if not line.startswith("madeupword")]
    config = config_of(tmp_path / "out")
    assert config["id2label"] == {str(number): name for number, name in enumerate(names)}
    assert config["label2id"] == {name: number for number, name in enumerate(names)}
    assert config["problem_type"] == "single_label_classification"
    from transformers import AutoConfig

    assert AutoConfig.from_pretrained(tmp_path / "out").id2label == dict(enumerate(names))


def test_without_labels_they_are_numbered_and_said_to_be(tmp_path: Path) -> None:
    result = convert(CLASSIFIER, tmp_path / "out")
    assert config_of(tmp_path / "out")["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    assert any("label_dict=..." in text for text in result.warnings)


@pytest.mark.parametrize(("name", "outputs"), [("regression", 1), ("regression-two-targets", 2)])
def test_regression_is_said_in_the_config(name: str, outputs: int, tmp_path: Path) -> None:
    result = convert(VARIANTS / name / "checkpoint.pt", tmp_path / "out")
    config = config_of(tmp_path / "out")
    assert (config["problem_type"], len(config["id2label"])) == ("regression", outputs)
    assert not any("label_dict=..." in text for text in result.warnings)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a 3\nb 2\n", "has 2 labels, and the head has 3 outputs"),
        ("a 3\nb 2\nc 2\nd 1\n", "has 4 labels, and the head has 3 outputs"),
        ("a 3\na 2\nc 2\n", "repeats the token 'a'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(lines: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(lines)
    with pytest.raises(UsageProblem, match=said) as caught:
        convert(CLASSIFIER, tmp_path / "out", label_dict=tmp_path / "labels.txt")
    assert "labels.txt" in str(caught.value)


def test_several_heads_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "two.pt", add_head("topic", 2), CLASSIFIER)
    with pytest.raises(
        UsageProblem, match=r"2 classification heads: sentence_classification_head, topic\. .*head=\.\.\."
    ):
        convert(path, tmp_path / "out")
    result = convert(path, tmp_path / "out", head="topic")
    assert any("left out: classification head sentence_classification_head" in text for text in result.warnings)
    stored, model = load_file(tmp_path / "out" / "model.safetensors"), torch.load(path, weights_only=False)["model"]
    assert torch.equal(stored["classifier.dense.weight"], model["classification_heads.topic.dense.weight"])
    assert stored["classifier.out_proj.weight"].shape == (2, 16)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "head `topic`" in card


@pytest.mark.parametrize(
    ("source", "options", "error", "said"),
    [
        (CLASSIFIER, {"head": "nope"}, UsageProblem, "no classification head 'nope', only sentence_classification_head"),
        (CLASSIFIER, {"task": "multiple-choice"}, NotRepresentable, "has 3 outputs; a choice among texts needs one score"),
        (CLASSIFIER, {"task": "encoder", "head": "sentence_classification_head"}, UsageProblem, "head: has no effect"),
        (CLASSIFIER, {"task": "masked-lm", "label_dict": LABELS}, UsageProblem, "label_dict: has no effect with task="),
        (MLM, {"label_dict": LABELS}, UsageProblem, "label_dict is for"),
        (CLASSIFIER, {"task": "translation"}, UsageProblem, "task is 'translation', not one of auto, masked-lm"),
        (RANKING, {"label_dict": LABELS}, UsageProblem, "a choice has no labels"),
        (VARIANTS / "regression" / "checkpoint.pt", {"label_dict": LABELS}, UsageProblem, "was trained on numbers"),
        (MLM, {"task": "sequence-classification"}, UsageProblem, "has no classification head"),
        (MLM, {"head": "x"}, UsageProblem, "what its classification heads (none) were trained for is not recorded"),
        (MLM, {"weights": "ema"}, UsageProblem, "no moving average of its weights"),
        (MLM, {"activation": "relu"}, UsageProblem, 'activation="relu" contradicts .* activation_fn=gelu'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    source: Path, options: dict[str, Any], error: type[PrenormError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said.replace("(", r"\(").replace(")", r"\)")):
        convert(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def forget_task(content: Content) -> None:
    content["cfg"]["task"] = None
    for name in ("task", "classification_head_name", "regression_target", "num_classes"):
        for section in ("model", "criterion"):
            values = content["cfg"][section]
            values = values if isinstance(values, dict) else vars(values)
            values.pop(name, None)


def test_an_unrecorded_task_has_to_be_said(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "c.pt", forget_task, CLASSIFIER)
    with pytest.raises(UsageProblem, match="trained for is not recorded") as caught:
        convert(path, tmp_path / "out")
    assert "task=" in str(caught.value)
    result = convert(path, tmp_path / "out", task="sequence-classification")
    assert (result.plan.architecture, result.plan.task.why) == (
        "RobertaPreLayerNormForSequenceClassification",
        'task="sequence-classification"',
    )


def test_a_task_of_a_user_dir_is_known_by_its_head(tmp_path: Path) -> None:
    def rename(content: Content) -> None:
        content["cfg"]["task"]["_name"] = "our_own_task"

    found = inspect(save_edited(tmp_path / "c.pt", rename, CLASSIFIER))
    assert found.converts_to is not None
    assert found.converts_to["task"] == "sequence-classification"
    assert "our_own_task, with classification_head_name=" in str(found.converts_to["chosen_because"])


def train_for(
    task: str | None, criterion: str | None, *, flat: bool = False, **more: object
) -> Callable[[Content], None]:
    """Arguments of another training: in sections, or all in one Namespace as fairseq had it up to 0.10."""

    def edit(content: Content) -> None:
        forget_task(content)
        values = vars(content["cfg"]["model"])
        values.update(more, task=task, criterion=criterion)
        if flat:
            content["args"], content["cfg"] = content["cfg"]["model"], None
        else:
            content["cfg"]["task"] = {"_name": task, **more} if task else None
            content["cfg"]["criterion"] = {"_name": criterion} if criterion else None

    return edit


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("num_classes", [5, 1])
@pytest.mark.parametrize(
    ("task", "criterion"),
    [
        ("commonsense_qa", "sentence_ranking"),
        ("commonsense_qa", None),
        ("swag", "sentence_ranking"),
        ("sentence_prediction", "sentence_ranking"),
        (None, "sentence_ranking"),
    ],
)
def test_ranking_is_a_choice_whatever_the_task_is_called(
    task: str | None, criterion: str | None, num_classes: int, flat: bool, tmp_path: Path
) -> None:
    """`num_classes` counts the choices, each with the one score that the criterion asks of the head."""
    path = save_edited(tmp_path / "c.pt", train_for(task, criterion, flat=flat, num_classes=num_classes), RANKING)
    found = inspect(path)
    assert found.refusal is None
    assert found.converts_to is not None
    assert found.converts_to["architecture"] == "RobertaPreLayerNormForMultipleChoice"
    assert str(task or "sentence_ranking") in str(found.converts_to["chosen_because"])


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("task", "criterion"),
    [
        ("sequence_tagging", "sequence_tagging"),
        ("sequence_tagging", None),
        ("sentence_prediction", "token_classification"),
        ("masked_lm", "masked_lm_with_next_sentence"),
        ("translation", "cross_entropy"),
    ],
)
def test_a_head_of_unknown_training_has_to_be_said(
    task: str, criterion: str | None, flat: bool, tmp_path: Path
) -> None:
    """A head that labels tokens looks like one that classifies texts; a guess would publish another model."""
    edit = train_for(task, criterion, flat=flat, classification_head_name="sentence_classification_head")
    path = save_edited(tmp_path / "c.pt", edit, CLASSIFIER)
    found = inspect(path)
    assert found.refusal_code == 2
    assert f"task {task}" in str(found.refusal)
    assert criterion is None or f"criterion {criterion}" in str(found.refusal)
    assert "task=" in str(found.refusal)
    chosen = inspect(path, task="encoder").converts_to
    assert chosen is not None
    assert chosen["architecture"] == "RobertaPreLayerNormModel"


@settings(max_examples=40, deadline=None)
@given(names=st.lists(st.text("abcdefgh_prediction", min_size=1, max_size=24), min_size=2, max_size=2, unique=True))
def test_no_name_that_fairseq_lacks_is_taken_for_a_training(names: list[str]) -> None:
    task, criterion = names
    assume(criterion not in KNOWN_CRITERIA and task not in KNOWN_TASKS)
    recorded = {"task": task, "criterion": criterion, "classification_head_name": "x", "ranking_head_name": "x"}
    assert trained_head(Arguments("args", recorded)) is None
    assert trained_head(Arguments("args", {**recorded, "criterion": None})) is None


@pytest.mark.parametrize(("task", "criterion"), [("masked_lm", "masked_lm"), ("wsc", "wsc"), ("masked_lm", None)])
def test_a_masked_lm_with_a_head_stays_a_masked_lm(task: str, criterion: str | None, tmp_path: Path) -> None:
    found = inspect(save_edited(tmp_path / "c.pt", train_for(task, criterion), CLASSIFIER))
    assert found.converts_to is not None
    assert found.converts_to["task"] == "masked-lm"
    assert any("left out: classification head" in text for text in found.warnings)


@pytest.mark.slow
def test_the_command_says_what_it_chose_and_why(tmp_path: Path) -> None:
    done = run_command("convert", RANKING, tmp_path / "out")
    assert done.returncode == 0
    assert (
        "RobertaPreLayerNormForMultipleChoice, for multiple-choice: the checkpoint was trained for sentence_ranking"
        in " ".join(done.stdout.split())
    )
    report = json.loads(run_command("convert", CLASSIFIER, tmp_path / "two", "--json").stdout)
    assert report["target"]["task"] == "sequence-classification"
    assert report["target"]["head"] == "sentence_classification_head"
    assert report["chosen_because"] == "the checkpoint was trained for sentence_prediction"


def test_without_a_masked_lm_head_the_encoder_is_left(tmp_path: Path) -> None:
    def drop(content: Content) -> None:
        content["model"] = {key: value for key, value in content["model"].items() if "lm_head" not in key}

    path = save_edited(tmp_path / "c.pt", drop)
    result = convert(path, tmp_path / "out")
    assert result.plan.architecture == "RobertaPreLayerNormModel"
    assert "has no head" in result.plan.task.why
    names = set(load_file(tmp_path / "out" / "model.safetensors"))
    assert "embeddings.word_embeddings.weight" in names
    assert not any(name.startswith("roberta") for name in names)
    with pytest.raises(UsageProblem, match="has no masked-LM head"):
        convert(path, tmp_path / "other", task="masked-lm")
