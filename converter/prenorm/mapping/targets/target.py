"""What a target is: everything that prenorm knows of one Hugging Face architecture, in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prenorm.mapping.targets.heads import head_config, head_rules
from prenorm.mapping.targets.shared import LAYER_MAPS
from prenorm.mapping.task import Task
from prenorm.options import ACTIVATIONS, TaskKind
from prenorm.rules.rules import Constant, Drop, Rename
from prenorm.source.description import SourceDescription
from prenorm.source.positions import USUAL_PAD_ID

# The stage of the proof behind the encoder: the first map of a classification head.
HEAD_STAGE = "head"
_LAYERS = "layers."


@dataclass(frozen=True)
class StageModules:
    """Where the model of one runtime computes each stage of the proof: paths of its modules.

    The stages are the reference's: `embeddings`, `layers.N` with its parts, `layer_norm`, and `head`.

    Attributes:
        base: the headless model within the models with a head, with its dot.
        final_norm: the norm behind the last layer, within the headless model.
        parts: the maps within a layer, by the reference's names of their outputs.
        embeddings: the embeddings with their norm, within the headless model.
        layer: a layer, within the headless model.
    """

    base: str
    final_norm: str
    parts: Mapping[str, str] = field(
        default_factory=lambda: {source.rpartition(".")[2]: target for source, target, _ in LAYER_MAPS}
    )
    embeddings: str = "embeddings"
    layer: str = "encoder.layer.{n}"

    def path(self, stage: str, part: str = "out", base: str | None = None) -> str:
        """Return the path of the module that computes a stage, or a part of it.

        Args:
            stage: `embeddings`, `layers.N` or `layer_norm`.
            part: `out` for the stage itself, or one of `parts`.
            base: the prefix of the headless model, if it is not `self.base`; it is empty where there is no head.

        Returns:
            A dotted path within the whole model.
        """
        prefix = self.base if base is None else base
        if not stage.startswith(_LAYERS):
            return prefix + {"embeddings": self.embeddings, "layer_norm": self.final_norm}[stage]
        layer = prefix + self.layer.format(n=stage.removeprefix(_LAYERS))
        return layer if part == "out" else f"{layer}.{self.parts[part]}"

    def head(self, task: TaskKind) -> str | None:
        """Return the path of the first map of a classification head.

        Args:
            task: what the folder is for.

        Returns:
            A dotted path within the whole model; None for a task without such a head.
        """
        maps = {
            TaskKind.SEQUENCE_CLASSIFICATION: "classifier.dense",
            TaskKind.MULTIPLE_CHOICE: f"{self.base}pooler.dense",
        }
        return maps.get(task)


@dataclass(frozen=True)
class CardTexts:
    """What a model card says because of the architecture.

    Attributes:
        title: the kind of model, as a heading begins.
        introduction: the kind of model, as the first sentence begins.
    """

    title: str
    introduction: str


@dataclass(frozen=True)
class Target:
    """One Hugging Face architecture that a checkpoint can become.

    To add one is to write a file with one such object, and to name it in the registry, `prenorm.mapping.targets.TARGETS`.

    Attributes:
        model_type: as config.json names it.
        fits: whether the architecture computes exactly what a described model computes.
        prefix: the name of the headless model within the models with a head, in the folder's files, with its dot.
        architectures: transformers' class for each task.
        bundled_classes: the class of `prenorm_model` for each task.
        encoder_rules: where each canonical tensor of the encoder goes, with `prefix` before its name.
        defaults: what transformers takes for a field on which config.json is silent.
        mistaken: why a folder of this type is wrong for a checkpoint of another; the end of a sentence.
        modules: where each stage lives, by the name of the runtime.
        card: what its model card says.
        layer_norm_eps: torch's and so fairseq's epsilon, which no default of transformers' configs can be trusted to be.
    """

    model_type: str
    fits: Callable[[SourceDescription], bool]
    prefix: str
    architectures: Mapping[TaskKind, str]
    bundled_classes: Mapping[TaskKind, str]
    encoder_rules: tuple[Rename | Constant, ...]
    defaults: Mapping[str, object]
    mistaken: str
    modules: Mapping[str, StageModules]
    card: CardTexts
    layer_norm_eps: float = 1e-5

    @property
    def vocabulary_matrices(self) -> tuple[str, str]:
        """The target tensors with a row for every token, which grow with the vocabulary."""
        return (self.prefix + "embeddings.word_embeddings.weight", "lm_head.decoder.weight")

    def rules(self, description: SourceDescription, task: Task) -> tuple[Rename | Drop | Constant, ...]:
        """Return the rule table for a task, with `prefix` before the encoder's names.

        Args:
            description: the source model.
            task: what the folder is for.

        Returns:
            The encoder's rules, and those of the heads.
        """
        return (*self.encoder_rules, *head_rules(description, task, self.prefix))

    def config(self, description: SourceDescription, task: Task, extra_rows: int) -> dict[str, object]:
        """Return the content of config.json.

        Args:
            description: the source model.
            task: what the folder is for.
            extra_rows: the rows that the tokenizer adds to the vocabulary.

        Returns:
            Every field that decides what transformers computes, and those that its users look for.
        """
        usual = description.pad_id == USUAL_PAD_ID  # of another dictionary, the ids of <s> and </s> are not known
        return {
            "architectures": [self.architectures[task.kind]],
            "attention_probs_dropout_prob": description.attention_dropout,
            "bos_token_id": 0 if usual else None,
            "classifier_dropout": description.pooler_dropout,
            "dtype": description.dtype,
            "eos_token_id": 2 if usual else None,
            "hidden_act": ACTIVATIONS[description.activation],
            "hidden_dropout_prob": description.dropout,
            "hidden_size": description.hidden_size,
            **head_config(description, task),
            "initializer_range": 0.02,
            "intermediate_size": description.ffn_size,
            "layer_norm_eps": self.layer_norm_eps,
            "max_position_embeddings": description.positions.rows,
            "model_type": self.model_type,
            "num_attention_heads": description.attention_heads,
            "num_hidden_layers": description.layers,
            "pad_token_id": description.pad_id,
            "tie_word_embeddings": description.shares_embedding,
            "type_vocab_size": 1,
            "vocab_size": description.vocab_size + extra_rows,
        }
