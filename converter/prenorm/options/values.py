"""The words that options take as values."""

from __future__ import annotations

from enum import Enum

AUTO = "auto"
GPT2 = "gpt2"  # the value of `--bpe-dir` that means GPT-2's files on the Hub, where there is no such folder


class TaskKind(str, Enum):
    """What a folder is for: the values of `--task`, `auto` aside."""

    MASKED_LM = "masked-lm"
    SEQUENCE_CLASSIFICATION = "sequence-classification"
    MULTIPLE_CHOICE = "multiple-choice"
    ENCODER = "encoder"


# What the names of transformers' classes end in, behind the architecture's, for each task.
CLASS_ENDINGS = {
    TaskKind.MASKED_LM: "ForMaskedLM",
    TaskKind.SEQUENCE_CLASSIFICATION: "ForSequenceClassification",
    TaskKind.MULTIPLE_CHOICE: "ForMultipleChoice",
    TaskKind.ENCODER: "Model",
}


def classes_of(architecture: str) -> dict[TaskKind, str]:
    """Return the names of an architecture's classes.

    Args:
        architecture: what they begin with.

    Returns:
        The class for each task.
    """
    return {kind: architecture + ending for kind, ending in CLASS_ENDINGS.items()}


# The class of transformers that loads a folder for each task.
AUTO_CLASSES = {**classes_of("AutoModel"), TaskKind.ENCODER: "AutoModel"}

TASKS = (AUTO, *(kind.value for kind in TaskKind))
WEIGHTS = ("model", "ema")
REFERENCES = ("builtin", "fairseq")
COMPUTE_TYPES = ("float64", "float32")
SHELLS = ("bash", "zsh", "fish")
RUNTIMES = ("bundled", "transformers", "tensorflow", "flax", "both", "all")

# fairseq's names of activations, and Hugging Face's of the same functions. `gelu_fast` is an old name of `gelu_accurate`
# to fairseq (Hugging Face's own `gelu_fast` is the same function with its constants rounded).
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_accurate": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_new": "gelu_new",
    "linear": "linear",
    "relu": "relu",
    "relu_squared": "relu2",
    "tanh": "tanh",
}
