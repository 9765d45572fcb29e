"""The model card: README.md of the folder, with what is true of this conversion and nothing else."""

from __future__ import annotations

from prenorm.files import PLOT_FILE
from prenorm.folder.card.address import model_id_line, title
from prenorm.folder.card.command import GOLDEN, CardCommands, place_line
from prenorm.folder.card.facts import digests, parameters, source_rows, training_rows, validation
from prenorm.folder.card.names import PublicNames
from prenorm.folder.card.options import UserText
from prenorm.folder.card.reminder import missing, reminder
from prenorm.folder.card.yaml_text import dump
from prenorm.mapping.plan import ConversionPlan
from prenorm.options import AUTO_CLASSES, TaskKind
from prenorm.reports.environment import package_version
from prenorm.reports.facts import parity_rows
from prenorm.reports.model import Report
from prenorm.reports.sentences import activation_sentences, margin_sentence
from prenorm.reports.series import plot_description
from prenorm.reports.templating import markdown_environment
from prenorm.source.positions import USUAL_PAD_ID
from prenorm.tokenization.dictionary import MASK_TOKEN

_MOST_LABELS = 100
_NOUNS = {
    TaskKind.MASKED_LM: "masked language model",
    TaskKind.SEQUENCE_CLASSIFICATION: "text classifier",
    TaskKind.MULTIPLE_CHOICE: "multiple-choice model",
    TaskKind.ENCODER: "text encoder",
}
_UNNAMED = "RoBERTa with pre-LayerNorm"
# The Hub's names of the tasks.
_PIPELINE_TAGS = {
    TaskKind.MASKED_LM: "fill-mask",
    TaskKind.SEQUENCE_CLASSIFICATION: "text-classification",
    TaskKind.MULTIPLE_CHOICE: "multiple-choice",
    TaskKind.ENCODER: "feature-extraction",
}
# The bundled model in other frameworks: what they are called, what installs them, and how their classes' names begin.
_FRAMEWORKS = (("TensorFlow (Keras 3)", "tensorflow", "TF"), ("JAX (Flax)", "flax", "Flax"))
_FIRST = ("license", "license_name", "license_link", "language", "base_model")


def model_card(
    plan: ConversionPlan,
    report: Report,
    *,
    has_tokenizer: bool,
    user_text: UserText,
    commands: CardCommands,
    names: PublicNames,
) -> str:
    """Write the card, which names no path, host or user.

    Args:
        plan: what was converted, and into what.
        report: the proof.
        has_tokenizer: whether the folder has a tokenizer, so that the code can use it.
        user_text: what the user brings; its text comes first.
        commands: those that make the folder again and verify it, and the model's name.
        names: which names of the checkpoint's may be told.

    Returns:
        Markdown with its front matter.
    """
    task, kind = plan.task, plan.task.kind
    heads = [head.name for head in plan.description.heads if task.head is None or head.name != task.head.name]
    return (
        markdown_environment(__package__)
        .get_template("card.md.jinja")
        .render(
            user_text=user_text,
            front_matter=_front_matter(plan, user_text).rstrip("\n"),
            title=title(commands.name or _UNNAMED),
            reminder=reminder(missing(user_text.front_matter, user_text.body)),
            noun="text regression model" if task.regression else _NOUNS[kind],
            parameters=parameters(plan.parameters),
            validation=validation(plan.description),
            model_id=model_id_line(user_text.repo_id),
            program=_program(plan.description.producer),
            version=package_version("prenorm"),
            torch_version=package_version("torch").partition("+")[0],
            task=task,
            kind=kind.value,
            description=plan.description,
            activation=plan.config["hidden_act"],
            auto_class=AUTO_CLASSES[kind],
            bundled_class=plan.target.bundled_classes[kind],
            framework_classes=[
                (framework, extra, f"{prefix}{plan.target.bundled_classes[kind]}")
                for framework, extra, prefix in _FRAMEWORKS
            ],
            usual_ids=plan.description.pad_id == USUAL_PAD_ID,
            mask_token=MASK_TOKEN,
            has_tokenizer=has_tokenizer,
            most_labels=_MOST_LABELS,
            source=source_rows(plan, report.source, names),
            digests=digests(report.source),
            training=list(training_rows(plan.description.training)),
            report=report,
            activation_sentences=activation_sentences(report),
            parity=parity_rows(report),
            margin=margin_sentence(report),
            plot_description=plot_description(report),
            plot_file=PLOT_FILE,
            commands=commands,
            golden=GOLDEN,
            place_line=place_line(user_text.repo_id),
            other_heads=[names.head(name) for name in heads],
        )
    )


def _program(producer: str) -> str:
    """Return the name of the program that trained the model."""
    return "fairseq or DinkyTrain" if producer == "unknown" else "DinkyTrain" if "Dinky" in producer else "fairseq"


def _front_matter(plan: ConversionPlan, user_text: UserText) -> str:
    """Write the YAML between the dashes. What the user says goes before what prenorm would say; tags are all kept.

    Args:
        plan: what was converted, and into what.
        user_text: the user's keys.

    Returns:
        YAML that ends in a newline.
    """
    ours: dict[str, object] = {
        "library_name": "transformers",
        "pipeline_tag": _PIPELINE_TAGS[plan.task.kind],
        "tags": [plan.model_type, "fairseq", "prenorm"],
    }
    theirs = dict(user_text.front_matter)
    stated = theirs.pop("tags", [])
    tags = [*(stated if isinstance(stated, list) else [stated]), *ours.pop("tags")]  # type: ignore[misc]
    first = {key: theirs.pop(key) for key in _FIRST if key in theirs}
    known = {key: theirs.pop(key, value) for key, value in ours.items()}
    return dump({**first, **known, "tags": list(dict.fromkeys(tags)), **theirs})
