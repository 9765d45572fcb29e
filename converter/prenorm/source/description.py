"""What model a checkpoint holds. The tensors decide; the arguments fill in what tensors cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from prenorm.checkpoint import Checkpoint
from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import CONTRADICTORY, UnreadableCheckpoint, UsageProblem
from prenorm.options.spoken import spoken
from prenorm.source import refusals, training
from prenorm.source.arguments import Arguments
from prenorm.source.foreign_tensors import refuse_other_models, refuse_tensors
from prenorm.source.history import TrainingHistory, training_history
from prenorm.source.layouts import DEEPSPEED, ENCODER, Canonical
from prenorm.source.positions import PositionTable, find_positions
from prenorm.source.settings import training_facts
from prenorm.source.sizes import (
    TABLE,
    HeadDescription,
    classification_heads,
    common_dtype,
    count_layers,
    is_tied,
    matrix,
)

# fairseq's roberta `base_architecture`: what an argument is where the checkpoint does not record it.
_DEFAULTS: Mapping[str, object] = {
    "activation_fn": "gelu",
    "pooler_activation_fn": "tanh",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "pooler_dropout": 0.0,
    "activation_dropout": 0.0,
}


@dataclass(frozen=True)
class SourceDescription:
    """A checkpoint's model in fairseq's terms. Sizes count what their names say.

    `positions` is what the model adds for a token's place; `scaled_embedding` says whether word embeddings are multiplied
    by the square root of the width; `activation` is the feed-forward block's, `head_activation` the LM head's.
    """

    layout: str
    container: str
    producer: training.Producer
    arguments_from: str
    arch: str
    task: str
    criterion: str
    weights: str
    vocab_size: int
    hidden_size: int
    layers: int
    layers_kept: tuple[int, ...] | None
    attention_heads: int
    ffn_size: int
    positions: PositionTable
    pad_id: int
    scaled_embedding: bool
    activation: str
    activation_recorded: bool
    head_activation: str
    pooler_activation: str
    dropout: float
    attention_dropout: float
    pooler_dropout: float
    activation_dropout: float
    embedding_norm: bool
    lm_head: bool
    tied: bool
    dtype: str
    heads: tuple[HeadDescription, ...]
    trained_head: training.TrainedHead | None
    regression: bool
    training: Mapping[str, object]
    history: TrainingHistory

    def __repr__(self) -> str:
        sizes = (
            f"{self.layers} layers of width {self.hidden_size}, {self.attention_heads} heads, {self.vocab_size} tokens"
        )
        return f"<SourceDescription: {sizes}, {self.dtype}>"

    @property
    def shares_embedding(self) -> bool:
        """Whether the LM head computes with the very matrix that the target looks words up in."""
        return self.tied and not self.scaled_embedding

    @property
    def deepspeed_kernels(self) -> bool:
        """Whether the weights are of DinkyTrain's DeepSpeed kernels, which compute GELU in its tanh form."""
        return self.producer is training.Producer.DINKYTRAIN_DEEPSPEED

    @property
    def longest_input(self) -> int:
        """How many tokens the model takes: fairseq's position table has rows for the pad and below in front."""
        return self.positions.rows - self.pad_id - 1


class _Shapes(NamedTuple):
    """What the tensors alone say, once nothing speaks against them."""

    vocab_size: int
    hidden_size: int
    layers: int
    ffn_size: int
    tied: bool
    heads: tuple[HeadDescription, ...]


def describe(
    checkpoint: Checkpoint,
    canonical: Canonical,
    arguments: Arguments,
    *,
    weights: str = "model",
    layers_kept: tuple[int, ...] | None = None,
    attention_heads: int | None = None,
    activation: str | None = None,
) -> SourceDescription:
    """Describe the model that a checkpoint holds.

    Args:
        checkpoint: the opened file.
        canonical: its tensors under canonical names.
        arguments: what it records of its training.
        weights: which of the checkpoint's weights `canonical` holds, `model` or `ema`.
        layers_kept: the file's numbers of the layers in `canonical`, if they were selected from more.
        attention_heads: the user's word on the number of heads, for checkpoints that do not record it.
        activation: the user's word on the activation, for a DeepSpeed layout or where none is recorded.

    Returns:
        The description.

    Raises:
        NotRepresentable: if it is not a pre-LayerNorm RoBERTa that a target can hold.
        UnreadableCheckpoint: if arguments and tensors contradict each other.
        UsageProblem: if the number of heads is recorded nowhere and not given.
    """
    tensors = canonical.tensors
    shapes = _sound_shapes(canonical, arguments, layers_kept)
    attention_heads = _attention_heads(arguments, attention_heads, shapes.hidden_size)
    positions, pad_id = find_positions(tensors, arguments, shapes.hidden_size, shapes.vocab_size)
    trained_with = _activation_recorded(arguments)
    chosen = _activation(canonical, trained_with, activation)
    history = training_history(checkpoint, arguments)
    return SourceDescription(
        **shapes._asdict(),
        layout=canonical.name,
        container=checkpoint.container,
        producer=training.producer(checkpoint, canonical),
        arguments_from=arguments.origin,
        arch=training.plain_name(arguments.arch),
        task=training.plain_name(arguments.task),
        criterion=training.plain_name(arguments.criterion),
        weights=weights,
        layers_kept=layers_kept,
        attention_heads=attention_heads,
        positions=positions,
        pad_id=pad_id,
        scaled_embedding=arguments.flag("no_scale_embedding") is False,
        activation=chosen,
        activation_recorded=trained_with is not None or activation is not None,
        head_activation=trained_with or (chosen if DEEPSPEED not in canonical.layouts else "gelu"),
        pooler_activation=shown(_argument(arguments, "pooler_activation_fn")),
        dropout=_rate(arguments, "dropout"),
        attention_dropout=_rate(arguments, "attention_dropout"),
        pooler_dropout=_rate(arguments, "pooler_dropout"),
        activation_dropout=_rate(arguments, "activation_dropout"),
        embedding_norm=ENCODER + "layernorm_embedding.weight" in tensors,
        lm_head=any(key.startswith("encoder.lm_head.") for key in tensors),
        dtype=common_dtype(tensors),
        trained_head=training.trained_head(arguments),
        regression=training.is_regression(arguments),
        training=training_facts(arguments, history),
        history=history,
    )


def _sound_shapes(canonical: Canonical, arguments: Arguments, layers_kept: tuple[int, ...] | None) -> _Shapes:
    """Measure the tensors, and refuse what no target can hold or what contradicts the arguments."""
    tensors = canonical.tensors
    refuse_tensors(tensors)
    refuse_other_models({key: item.source or key for key, item in tensors.items()})
    layers = count_layers(tensors)
    refusals.refuse_post_norm(tensors, arguments, canonical.dropped)
    refusals.refuse_arguments(arguments)
    refusals.refuse_old_version(canonical.dropped)
    vocab_size, hidden_size = matrix(tensors, TABLE)
    ffn_size, _ = matrix(tensors, ENCODER + "layers.0.fc1.weight")
    refusals.refuse_pruned(tensors, hidden_size, ffn_size)
    shapes = _Shapes(vocab_size, hidden_size, layers, ffn_size, is_tied(tensors), classification_heads(tensors))
    sizes = {"encoder_embed_dim": hidden_size, "encoder_ffn_embed_dim": ffn_size}
    if not layers_kept:
        sizes["encoder_layers"] = layers
    refusals.refuse_contradictions(arguments, tensors, sizes=sizes, tied=shapes.tied, heads=shapes.heads)
    return shapes


def _attention_heads(arguments: Arguments, chosen: int | None, hidden_size: int) -> int:
    recorded = arguments.find("encoder_attention_heads")
    if chosen is not None and type(recorded) is int and recorded != chosen:
        raise UsageProblem(
            f"{spoken('attention_heads', chosen)} contradicts the checkpoint, which records "
            f"encoder_attention_heads={recorded}",
            advice="Leave the option out",
        )
    heads = chosen if chosen is not None else recorded
    if type(heads) is not int:
        raise UsageProblem(
            "the checkpoint records its number of attention heads nowhere, and tensors cannot tell it",
            advice=f"Give it with {spoken('attention_heads', ...)} (fairseq's roberta_base has 12, roberta_large 16)",
        )
    if heads < 1 or hidden_size % heads:
        raise UnreadableCheckpoint(
            f"encoder_attention_heads={heads} does not divide the width of {hidden_size}", advice=CONTRADICTORY
        )
    return heads


def _activation_recorded(arguments: Arguments) -> str | None:
    value = arguments.find("activation_fn")
    return None if value is None else shown(value)


def _activation(canonical: Canonical, recorded: str | None, chosen: str | None) -> str:
    if chosen is None:
        return recorded or str(_DEFAULTS["activation_fn"])
    if DEEPSPEED in canonical.layouts and chosen not in ("gelu", "gelu_new"):
        raise UsageProblem(
            f"{spoken('activation', chosen)} is none of DinkyTrain's DeepSpeed kernels, which compute gelu or its tanh form",
            advice="Choose gelu or gelu_new",
        )
    if recorded is not None and DEEPSPEED not in canonical.layouts and chosen != recorded:
        raise UsageProblem(
            f"{spoken('activation', chosen)} contradicts the checkpoint, which records activation_fn={recorded}; only "
            "the one of DinkyTrain's DeepSpeed kernels can be chosen",
            advice="Leave the option out",
        )
    return chosen


def _argument(arguments: Arguments, name: str) -> object:
    value = arguments.find(name)
    return _DEFAULTS[name] if value is None else value


def _rate(arguments: Arguments, name: str) -> float:
    value = _argument(arguments, name)
    if isinstance(value, int | float) and 0.0 <= cast(float, value) < 1.0:
        return float(value)
    raise UnreadableCheckpoint(f"the argument {name}={shown(value)} is no dropout rate between 0 and 1")
