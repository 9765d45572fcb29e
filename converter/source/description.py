"""What model a checkpoint holds. The tensors decide; the arguments fill in what tensors cannot say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from converter.checkpoint import Checkpoint
from converter.checkpoint.tensors import LazyTensor
from converter.errors import UnreadableCheckpoint, UsageProblem
from converter.mapping import Moved
from converter.source.arguments import Arguments, find_arguments
from converter.source.layouts import DEEPSPEED, ENCODER, Canonical
from converter.source.refusals import refuse_arguments, refuse_contradictions, refuse_other_models, refuse_post_norm

# fairseq's roberta `base_architecture`: what an argument is where the checkpoint does not record it.
_DEFAULTS: Mapping[str, object] = {
    "activation_fn": "gelu",
    "pooler_activation_fn": "tanh",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "pooler_dropout": 0.0,
    "activation_dropout": 0.0,
}
PAD_ID = 1  # fairseq's Dictionary: <s> 0, <pad> 1, </s> 2, <unk> 3


@dataclass(frozen=True)
class HeadDescription:
    """A classification head: its name, inner width, and number of outputs."""

    name: str
    inner_size: int
    outputs: int


@dataclass(frozen=True)
class SourceDescription:
    """A checkpoint's model in fairseq's terms. Sizes count what their names say; `positions` counts table rows."""

    layout: str
    container: str
    producer: str
    arguments_from: str
    arch: str
    task: str
    vocab_size: int
    hidden_size: int
    layers: int
    attention_heads: int
    ffn_size: int
    positions: int
    activation: str
    head_activation: str
    pooler_activation: str
    dropout: float
    attention_dropout: float
    pooler_dropout: float
    activation_dropout: float
    embedding_norm: bool
    tied: bool
    dtype: str
    heads: tuple[HeadDescription, ...]
    training: Mapping[str, object]

    @property
    def longest_input(self) -> int:
        """How many tokens the model takes: fairseq's position table has rows for the pad and below in front."""
        return self.positions - PAD_ID - 1


def model_tensors(checkpoint: Checkpoint) -> dict[str, LazyTensor]:
    """The entries of `checkpoint.content['model']`.

    Raises:
        UnreadableCheckpoint: if there is no such dictionary of tensors.
    """
    content = checkpoint.content
    model = content.get("model")
    if not isinstance(model, dict):
        held = ", ".join(sorted(content)[:6]) or "nothing"
        if content and all(isinstance(value, LazyTensor) for value in content.values()):
            refuse_other_models([str(key) for key in content])
            held = "a bare state dict"
        raise UnreadableCheckpoint(
            f"it has no dictionary 'model', so it is no fairseq training checkpoint (it holds {held})",
            subject=checkpoint.file.name,
            advice="Give the checkpoint_best.pt or checkpoint_last.pt that fairseq saved",
        )
    tensors = {str(key): value for key, value in model.items() if isinstance(value, LazyTensor)}
    strange = [f"'{str(key)[:80]}'" for key, value in model.items() if not isinstance(value, LazyTensor)]
    if strange or not tensors:
        raise UnreadableCheckpoint(
            "entries of 'model' are no plain tensors" if strange else "'model' is empty",
            subject=checkpoint.file.name,
            problems=strange[:20],
        )
    return tensors


def describe(
    checkpoint: Checkpoint,
    canonical: Canonical,
    *,
    attention_heads: int | None = None,
    activation: str | None = None,
) -> SourceDescription:
    """Describes the model.

    Args:
        attention_heads: the user's word on the number of heads, for checkpoints that do not record it.
        activation: the user's choice for a DeepSpeed layout (`gelu` or `gelu_new`).

    Raises:
        NotRepresentable: if it is not a pre-LayerNorm RoBERTa that a target can hold.
        UnreadableCheckpoint: if arguments and tensors contradict each other.
        UsageProblem: if the number of heads is recorded nowhere and not given.
    """
    arguments = find_arguments(checkpoint.content)
    tensors = canonical.tensors
    refuse_other_models(list(tensors))
    layers = _count_layers(tensors)
    refuse_post_norm(tensors, arguments)
    refuse_arguments(arguments)
    vocab_size, hidden_size = _matrix(tensors, ENCODER + "embed_tokens.weight")
    positions, _ = _matrix(tensors, ENCODER + "embed_positions.weight")
    ffn_size, _ = _matrix(tensors, ENCODER + "layers.0.fc1.weight")
    heads = _attention_heads(arguments, attention_heads, hidden_size)
    refuse_contradictions(arguments, {"encoder_embed_dim": hidden_size, "encoder_ffn_embed_dim": ffn_size,
                                       "encoder_layers": layers})  # fmt: skip
    trained_with = str(_argument(arguments, "activation_fn"))
    return SourceDescription(
        layout=canonical.layout.name,
        container=checkpoint.container,
        producer=_producer(checkpoint, canonical),
        arguments_from=arguments.origin,
        arch=str(arguments.find("_name") or arguments.find("arch") or "unknown"),
        task=str(_task(arguments)),
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        layers=layers,
        attention_heads=heads,
        ffn_size=ffn_size,
        positions=positions,
        activation=_activation(canonical, trained_with, activation),
        head_activation=trained_with,
        pooler_activation=str(_argument(arguments, "pooler_activation_fn")),
        dropout=_rate(arguments, "dropout"),
        attention_dropout=_rate(arguments, "attention_dropout"),
        pooler_dropout=_rate(arguments, "pooler_dropout"),
        activation_dropout=_rate(arguments, "activation_dropout"),
        embedding_norm=ENCODER + "layernorm_embedding.weight" in tensors,
        tied=_is_tied(tensors),
        dtype=_common_dtype(tensors),
        heads=_classification_heads(tensors),
        training=_training_facts(checkpoint, arguments),
    )


def _count_layers(tensors: Mapping[str, Moved]) -> int:
    pattern = re.compile(re.escape(ENCODER) + r"layers\.(\d+)\..*")
    numbers = {int(found[1]) for key in tensors if (found := pattern.fullmatch(key))}
    if not numbers or numbers != set(range(len(numbers))):
        gap = next((n for n in range(len(numbers) + 1) if n not in numbers), 0)
        raise UnreadableCheckpoint(
            f"the encoder's layers are not numbered from 0 without a gap: '{ENCODER}layers.{gap}' is missing",
            advice="The checkpoint is damaged or pruned",
        )
    return len(numbers)


def _matrix(tensors: Mapping[str, Moved], key: str) -> tuple[int, int]:
    """The two sizes of a weight that every model of this kind has."""
    item = tensors.get(key)
    if item is None:
        raise UnreadableCheckpoint(f"the tensor '{key}' is missing", advice="The checkpoint is incomplete")
    if len(item.tensor.shape) != 2 or 0 in item.tensor.shape:
        raise UnreadableCheckpoint(f"'{key}' has shape {list(item.tensor.shape)}; it must be a matrix")
    return item.tensor.shape[0], item.tensor.shape[1]


def _attention_heads(arguments: Arguments, given: int | None, hidden_size: int) -> int:
    recorded = arguments.find("encoder_attention_heads")
    if given is not None and type(recorded) is int and recorded != given:
        raise UsageProblem(
            f"--attention-heads {given} contradicts the checkpoint, which records encoder_attention_heads={recorded}",
            advice="Leave the option out",
        )
    heads = given if given is not None else recorded
    if type(heads) is not int:
        raise UsageProblem(
            "the checkpoint records its number of attention heads nowhere, and tensors cannot tell it",
            advice="Give it with --attention-heads (fairseq's roberta_base has 12, roberta_large 16)",
        )
    if heads < 1 or hidden_size % heads:
        raise UnreadableCheckpoint(
            f"encoder_attention_heads={heads} does not divide the width of {hidden_size}",
            advice="Arguments and tensors contradict each other",
        )
    return heads


def _activation(canonical: Canonical, trained_with: str, chosen: str | None) -> str:
    if chosen is None:
        return trained_with
    if canonical.layout is not DEEPSPEED:
        raise UsageProblem(
            "--activation is for checkpoints of DinkyTrain's DeepSpeed kernels only; this one records its activation "
            f"as '{trained_with}'",
            advice="Leave the option out",
        )
    return chosen


def _is_tied(tensors: Mapping[str, Moved]) -> bool:
    """Whether the LM head's matrix is the embedding: the same place in the file, or the same bytes."""
    head, table = tensors.get("encoder.lm_head.weight"), tensors.get(ENCODER + "embed_tokens.weight")
    if head is None or table is None or head.tensor.is_same_place(table.tensor):
        return True
    if (head.tensor.shape, head.tensor.dtype) != (table.tensor.shape, table.tensor.dtype):
        return False
    if not (head.tensor.is_contiguous and table.tensor.is_contiguous):
        return False
    pairs = zip(head.tensor.file.chunks(head.tensor.place), table.tensor.file.chunks(table.tensor.place), strict=True)
    return all(bytes(mine) == bytes(other) for mine, other in pairs)


def _common_dtype(tensors: Mapping[str, Moved]) -> str:
    return tensors[ENCODER + "embed_tokens.weight"].tensor.dtype


def _classification_heads(tensors: Mapping[str, Moved]) -> tuple[HeadDescription, ...]:
    found = []
    for key, item in tensors.items():
        name = re.fullmatch(r"classification_heads\.([^.]+)\.dense\.weight", key)
        output = tensors.get(f"classification_heads.{name[1]}.out_proj.weight") if name else None
        if name and len(item.tensor.shape) == 2:
            outputs = output.tensor.shape[0] if output is not None and output.tensor.shape else 0
            found.append(HeadDescription(name[1], item.tensor.shape[0], outputs))
    return tuple(found)


def _argument(arguments: Arguments, name: str) -> object:
    value = arguments.find(name)
    return _DEFAULTS[name] if value is None else value


def _rate(arguments: Arguments, name: str) -> float:
    value = _argument(arguments, name)
    if isinstance(value, int | float) and 0.0 <= value < 1.0:
        return float(value)
    raise UnreadableCheckpoint(f"the argument {name}={value!r} is no dropout rate between 0 and 1")


def _task(arguments: Arguments) -> object:
    task = arguments.find("_name", "task") if "task" in arguments.sections else arguments.find("task")
    return task if isinstance(task, str) else "unknown"


def _producer(checkpoint: Checkpoint, canonical: Canonical) -> str:
    """Which program wrote the file, as far as its keys give it away; for the reader, nothing depends on it."""
    if canonical.layout is DEEPSPEED:
        return "DinkyTrain with DeepSpeed kernels"
    config = checkpoint.content.get("cfg")
    if any("fused kernel" in item.reason for item in canonical.dropped):
        return "fairseq 0.12"
    if isinstance(config, dict):
        return "DinkyTrain" if "simul_type" in config else "fairseq since 2021"
    return "fairseq up to 0.10" if checkpoint.content.get("args") is not None else "unknown"


# What a reader of the model card wants to know of the training; numbers only, so no path or name can slip through.
_FACTS = (
    ("mask_prob", "task"), ("leave_unmasked_prob", "task"), ("random_token_prob", "task"),
    ("tokens_per_sample", "task"), ("max_update", "optimization"), ("batch_size", "dataset"),
    ("seed", "common"),
)  # fmt: skip


def _training_facts(checkpoint: Checkpoint, arguments: Arguments) -> dict[str, object]:
    facts: dict[str, object] = {}
    for name, section in _FACTS:
        value = arguments.find(name, section)
        if isinstance(value, int | float) and not isinstance(value, bool):
            facts[name] = value
    history = checkpoint.content.get("optimizer_history")
    last = history[-1] if isinstance(history, list) and history else None
    if isinstance(last, dict) and type(last.get("num_updates")) is int:
        facts["num_updates"] = last["num_updates"]
    return facts
