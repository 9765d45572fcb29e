"""Folder fitness: whether a folder works where people use it, in the user's own transformers. No checkpoint is needed.

`verify CHECKPOINT FOLDER` says that the numbers are right; this says that they arrive: in every Auto class, tokenizer,
pipeline, training loop and export. Each check is one line of `CHECKS`, and each module beside this file holds one idea.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from prenorm.errors import PrenormError
from prenorm.fitness import config_fields, files, loading, onnx_export, pipelines, sentence_vectors, text, training
from prenorm.fitness.candidate import Candidate, quiet, require_transformers
from prenorm.fitness.finding import Finding, NotRun, Trial, Unfit, first_line, fitness_report
from prenorm.folder.published import Published, open_published
from prenorm.options import TaskKind
from prenorm.reports.model import Report

__all__ = ["CHECKS", "judge_folder", "require_transformers"]

EVERY = tuple(TaskKind)
MASKED, CLASSIFIER, CHOICE, ENCODER = (
    (kind,)
    for kind in (TaskKind.MASKED_LM, TaskKind.SEQUENCE_CLASSIFICATION, TaskKind.MULTIPLE_CHOICE, TaskKind.ENCODER)
)

# Name, the tasks whose folders it is for, and what does it. The order is that of the table.
CHECKS: tuple[tuple[str, tuple[TaskKind, ...], Callable[[Candidate], Finding]], ...] = (
    ("files", EVERY, files.check_files),
    ("custom code", EVERY, files.check_custom_code),
    ("weights", EVERY, files.check_weights),
    ("config", EVERY, config_fields.check_config),
    ("labels", CLASSIFIER, config_fields.check_labels),
    ("AutoModelForMaskedLM", MASKED, loading.loads_whole("AutoModelForMaskedLM")),
    ("AutoModelForPreTraining", MASKED, loading.loads_whole("AutoModelForPreTraining")),
    ("AutoModelForSequenceClassification", CLASSIFIER, loading.loads_whole("AutoModelForSequenceClassification")),
    ("AutoModelForMultipleChoice", CHOICE, loading.loads_whole("AutoModelForMultipleChoice")),
    ("AutoModel", EVERY, loading.loads_headless),
    ("new heads", (*MASKED, *ENCODER), loading.takes_new_heads),
    ("AutoTokenizer", EVERY, text.check_tokenizer),
    ("longest text", EVERY, text.check_longest_text),
    ("pipeline fill-mask", MASKED, pipelines.fill_mask),
    ("pipeline text-classification", CLASSIFIER, pipelines.text_classification),
    ("pipeline feature-extraction", EVERY, pipelines.feature_extraction),
    ("choices", CHOICE, pipelines.choices),
    ("fine-tuning", EVERY, training.fine_tuning),
    ("Trainer", EVERY, training.trainer),
    ("save and reload", EVERY, training.save_and_reload),
    ("ONNX", EVERY, onnx_export.check_onnx),
    ("sentence-transformers", EVERY, sentence_vectors.check_sentence_vectors),
)


def judge_folder(folder: str | Path | Published, *, without: Sequence[str] = ()) -> Report:
    """Try a folder out in everything that its readers use. Nothing in it is written, and no code of it is run.

    Args:
        folder: a model folder, or one that is open already.
        without: names of `CHECKS` that are not to be run, and are shown so.

    Returns:
        The outcome of every check that is for the folder's task.

    Raises:
        UsageProblem: if transformers is not installed, or `folder` is no model folder.
        UnreadableCheckpoint: if its pickled weights are damaged or unsafe.
    """
    require_transformers()
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch, quiet():
        rewritten = Path(scratch, "rewritten")
        rewritten.mkdir()
        published = folder if isinstance(folder, Published) else open_published(Path(folder), rewritten)
        candidate = Candidate.of(published, Path(scratch))
        trials = [
            _run(name, candidate, run, wanted=name not in without)
            for name, kinds, run in CHECKS
            if candidate.kind in kinds
        ]
        return fitness_report(
            {
                "folder": published.name,
                "model_type": str(published.config.get("model_type")),
                "architectures": published.config.get("architectures"),
                "task": candidate.kind.value,
                "notes": list(published.notes),
            },
            trials,
        )


def _run(name: str, candidate: Candidate, run: Callable[[Candidate], Finding], *, wanted: bool) -> Trial:
    """One line of the table. Whatever the libraries raise over this folder is what its readers would get: a failure."""
    if not wanted:
        return Trial.not_run(name, "left out by the caller")
    try:
        return Trial.passing(name, run(candidate))
    except NotRun as reason:
        return Trial.not_run(name, str(reason))
    except Unfit as unfit:
        return Trial.failing(name, unfit.within(candidate.view, candidate.published.name))
    except (PrenormError, MemoryError):
        raise
    except Exception as error:
        raised = Unfit([f"{type(error).__name__}: {first_line(error)}"])
        return Trial.failing(name, raised.within(candidate.view, candidate.published.name))
