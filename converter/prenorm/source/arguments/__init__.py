"""The training arguments of a checkpoint, wherever its fairseq put them, as plain values.

fairseq up to 0.10 saves `args`, a Namespace. From October 2020 to March 2021 it saved `cfg` as omegaconf's `DictConfig`,
since then as a dictionary; its section `model` is a Namespace where the model came from the command line and a mapping
where hydra composed it. Where both are there, fairseq reads `args` (`_upgrade_state_dict` in its `checkpoint_utils`), and
so do we. Forks save dataclasses, objects of their own, configs in parts; see `containers.py` for what is read of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import UnreadableCheckpoint
from prenorm.source.arguments.containers import ConfigReader
from prenorm.source.arguments.foreign import kind_of, members
from prenorm.source.arguments.located import held_by, node_state

# Where fairseq keeps what is not an argument of the model: a finetuning task's, or the criterion's that asks for the head.
_HOMES: Mapping[str, tuple[str, ...]] = {
    "classification_head_name": ("task", "criterion"),
    "ranking_head_name": ("task", "criterion"),
    "regression_target": ("task", "criterion"),
    "num_classes": ("task",),
    "tokens_per_sample": ("task",),
}
# Sections that may be nothing but the name of what was chosen.
_REGISTRIES = ("model", "task", "criterion", "optimizer", "lr_scheduler")
# fairseq's TransformerConfig has groups; everything else calls `encoder.embed_dim` `encoder_embed_dim`.
_GROUPS = ("encoder", "quant_noise")
_NESTED = "transformer"  # data2vec's models keep their TransformerConfig there
# What changes a RoBERTa's numbers and no tensor tells: not to be taken for absent where it is there and unreadable.
_DECISIVE = (
    "activation_fn", "pooler_activation_fn", "encoder_layers_to_keep", "no_scale_embedding", "encoder_learned_pos",
    "no_token_positional_embeddings", "adaptive_input", "quant_noise_scalar",
)  # fmt: skip
_MOST_UNREAD = 50
_IGNORED = "; there is a cfg too, which fairseq does not read then"


@dataclass(frozen=True)
class Arguments:
    """What a checkpoint records of its training.

    Attributes:
        origin: in words, where they were found; 'none' if nowhere.
        model: the model's arguments, those of nested groups also by their flat names.
        sections: everything the checkpoint records, by section; empty where one Namespace holds all.
        unread: the names of values that are recorded and could not be read, and why.
    """

    origin: str
    model: Mapping[str, object] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str, *sections: str) -> object:
        """Find an argument in the first section that records it, then among the model's.

        Args:
            name: fairseq's name of the argument.
            *sections: the sections to look in, in order; without any, those where fairseq keeps that argument.

        Returns:
            Its value; None if it is recorded nowhere.
        """
        for section in (*(sections or _HOMES.get(name, ())), "model"):
            values = self.model if section == "model" else self.sections.get(section, {})
            if values.get(name) is not None:
                return values[name]
        return None

    @property
    def arch(self) -> str | None:
        """The architecture's name (`roberta_base`): `_name` in a section, `arch` among flat arguments."""
        return next((value for key in ("_name", "arch") if isinstance(value := self.find(key), str)), None)

    @property
    def task(self) -> str | None:
        """The task's name (`masked_lm`): of its section, else among flat arguments."""
        return self._chosen("task")

    @property
    def criterion(self) -> str | None:
        """The criterion's name (`sentence_prediction`): of its section, else among flat arguments."""
        return self._chosen("criterion")

    def _chosen(self, kind: str) -> str | None:
        """Return the name of what was chosen from one of fairseq's registries."""
        section = self.sections.get(kind, {})
        candidates = (section.get("_name"), section.get(kind), self.model.get(kind))
        return next((value for value in candidates if isinstance(value, str)), None)

    @property
    def max_positions(self) -> int | None:
        """The longest input, in tokens: `max_positions`, or what roberta takes in its place."""
        names = ("max_positions", "tokens_per_sample", "max_source_positions")
        return next((value for name in names if type(value := self.find(name)) is int), None)

    @property
    def layers_to_keep(self) -> tuple[int, ...] | None:
        """Numbers of the encoder layers to keep, ascending as fairseq sorts them; None if all are.

        Raises:
            UnreadableCheckpoint: if the argument is no list of different layer numbers.
        """
        recorded = self.find("encoder_layers_to_keep")
        if recorded is None or recorded in ("", []):
            return None
        parts = recorded.split(",") if isinstance(recorded, str) else recorded
        numbers = [_layer_number(part) for part in parts] if isinstance(parts, list) else []
        known = {number for number in numbers if number is not None}
        if not numbers or len(known) != len(numbers):
            raise UnreadableCheckpoint(
                f"the argument encoder_layers_to_keep={shown(recorded)!r} is no list of different layer numbers"
            )
        return tuple(sorted(known))

    def flag(self, name: str, *sections: str) -> bool | None:
        """Find an argument that is true or false.

        Args:
            name: fairseq's name of the argument.
            *sections: the sections to look in, in order; without any, those where fairseq keeps that argument.

        Returns:
            Its value; None if it is recorded nowhere.

        Raises:
            UnreadableCheckpoint: if it is neither. Text is none: to fairseq's models even 'False' counts as true.
        """
        value = self.find(name, *sections)
        if value is None or isinstance(value, bool):
            return value
        if value in (0, 1):
            return bool(value)
        raise UnreadableCheckpoint(f"the argument {name}={shown(value)!r} is neither true nor false")


def find_arguments(content: Mapping[str, object]) -> Arguments:
    """Find the training arguments that a checkpoint records.

    Args:
        content: what the checkpoint holds.

    Returns:
        The arguments; empty with the origin 'none' if it records none.

    Raises:
        UnreadableCheckpoint: if they unfold into more than any training run records, or if one that the model's numbers
            depend on is there but cannot be read.
    """
    problems: list[str] = []
    for where, value in (("args", content.get("args")), ("cfg", content.get("cfg"))):
        # fairseq makes a config of `cfg`, and so looks for references in it; what `args` holds it takes as it stands.
        reader = ConfigReader()
        plain = reader.read(value, live=where == "cfg")
        if isinstance(plain, dict) and plain:
            arguments = _arguments(where, value, plain, reader.not_plain)
            is_beside = where == "args" and bool(content.get("cfg"))
            return replace(arguments, origin=f"{arguments.origin}{_IGNORED}") if is_beside else arguments
        problems += [f"{where} is {_kind(value)}: {why}" for path, why in reader.not_plain.items() if path == ()]
    if problems:
        raise UnreadableCheckpoint(
            "it records its training arguments in a form that cannot be read",
            problems=problems,
            advice="Save it again with plain values there, or without them",
        )
    return Arguments("none")


def _arguments(
    where: str, value: object, plain: dict[str, object], not_plain: Mapping[tuple[str, ...], str]
) -> Arguments:
    """Read the arguments of one configuration: its section `model`, or all of it where it has no sections."""
    kind = _kind(value)
    if isinstance(plain.get("model"), dict) or (where == "cfg" and not _is_flat(plain)):
        sections = {name: section for name, part in plain.items() if (section := _section(name, part))}
        model = sections.get("model", {})
        model_kind = _kind(_member(value, "model"))
        within = f" in {kind}" if kind not in (model_kind, "a dictionary") else ""
        origin = f"{where}['model'], {model_kind}{within}" if model else f"{where}, {kind} without a section 'model'"
        prefix: tuple[str, ...] = ("model",)
    else:
        sections, model, origin, prefix = {}, plain, f"{where}, {kind}", ()
    flat, groups = _flattened(model)
    if groups:
        origin += f", and in it {' and '.join(repr(group) for group in groups)}"
    _refuse_unreadable(not_plain, prefix, flat)
    unread = {_dotted(path): why for path, why in islice(not_plain.items(), _MOST_UNREAD)}
    return Arguments(origin, flat, sections, unread)


def _is_flat(plain: Mapping[str, object]) -> bool:
    """Say whether these are the arguments themselves, not sections of them."""
    return any(isinstance(plain.get(name), str | int) for name in ("arch", "encoder_layers", "encoder_attention_heads"))


def _section(name: str, part: object) -> Mapping[str, object] | None:
    if isinstance(part, str) and name in _REGISTRIES:
        return {"_name": part}
    return part if isinstance(part, dict) else None


def _kind(value: object) -> str:
    """Name the container as a person would."""
    state = node_state(value)
    return _kind(held_by(value)) if state is not None and "_content" not in state else kind_of(value)


def _member(value: object, name: str) -> object:
    inside = members(held_by(value))
    return inside.get(name) if isinstance(inside, Mapping) else None


def _flattened(model: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the model's arguments under their flat names, and the groups that names were taken from.

    A flat name that is recorded stays as it is: roberta's own code reads nothing else.
    """
    flat = dict(model)
    groups: dict[str, None] = {}

    def take(group: str, prefix: str, values: object) -> None:
        for name, value in values.items() if isinstance(values, dict) else ():
            if value is not None and flat.get(prefix + name) is None:
                flat[prefix + name] = value
                groups[group] = None

    nested = model.get(_NESTED)
    take(_NESTED, "", nested)
    for holder, within in ((model, ""), (nested, f"{_NESTED}.")):
        for group in _GROUPS:
            take(within + group, f"{group}_", holder.get(group) if isinstance(holder, Mapping) else None)
    # Until April 2019 `activation_dropout` was called `relu_dropout`; fairseq still reads that where the other is 0.
    if not flat.get("activation_dropout") and flat.get("relu_dropout"):
        flat["activation_dropout"] = flat["relu_dropout"]
    return flat, tuple(groups)


def _refuse_unreadable(
    not_plain: Mapping[tuple[str, ...], str], prefix: tuple[str, ...], flat: Mapping[str, object]
) -> None:
    """Refuse an argument that decides on the model's numbers, or a group that holds some, if it cannot be read."""
    for path, why in not_plain.items():
        if path[: len(prefix)] != prefix:
            continue
        inside = path[len(prefix) :]
        inside = inside[1:] if inside[:1] == (_NESTED,) else inside
        is_group = inside in ((), ("encoder",), ("quant_noise",))
        name = "_".join(inside) if len(inside) <= 2 else ""
        if is_group or (name in _DECISIVE and flat.get(name) is None):
            raise UnreadableCheckpoint(
                f"the argument {_dotted(path)}, on which the model's numbers depend, is recorded but cannot be read: {why}",
                advice="Save the checkpoint again with a plain value there",
            )


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(key[:80] for key in path)


def _layer_number(value: object) -> int | None:
    """Read a layer's number, from a list of numbers or of text."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return value if type(value) is int and value >= 0 else None
