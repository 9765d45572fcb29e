"""The attributes of a configuration by name: fields, their other names, and what every configuration of transformers has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from functools import wraps
from typing import Any, ClassVar, TypeVar

from prenorm_model.options import refuse_unknown, unknown_names

# Attributes of every configuration of transformers that change nothing in these models: kept, and written back.
INHERITED: Mapping[str, Any] = {
    "architectures": None,
    "chunk_size_feed_forward": 0,  # the feed-forward block chooses its pieces itself
    "decoder_start_token_id": None,
    "finetuning_task": None,
    "prefix": None,
    "sep_token_id": None,
    "task_specific_params": None,
    "tokenizer_class": None,
    "transformers_version": None,
}
# Those that these models know in one state only.
FIXED: Mapping[str, Any] = {
    "cross_attention_hidden_size": None,
    "is_encoder_decoder": False,
    "per_layer_config": None,
    "pruned_heads": {},
    "quantization_config": None,
    "tie_encoder_decoder": False,
    "tie_last_hidden_states": None,
    "torchscript": False,
}

# How transformers can be asked to compute attention; both are one here.
ATTENTION = ("eager", "sdpa")

AttributesT = TypeVar("AttributesT", bound="CheckedAttributes")


def check_names(cls: type[AttributesT]) -> type[AttributesT]:
    """Let a dataclass' constructor take aliases and inherited attributes, and name the unknown ones with a suggestion.

    Args:
        cls: the dataclass.

    Returns:
        The same class.
    """
    generated: Callable[..., None] = cls.__init__

    @wraps(generated)
    def init(self: AttributesT, *args: Any, **values: Any) -> None:
        refuse_unknown(cls.__name__, values, cls.settable_names() | {"extra"})
        arranged = cls._arranged(values)
        private = {name: arranged["extra"].pop(name) for name in [*arranged["extra"]] if name.startswith("_")}
        self.__dict__.update({"_name_or_path": "", "_attn_implementation": None, **private})
        generated(self, *args, **arranged)

    cls.__init__ = init  # type: ignore[assignment, method-assign]
    return cls


class CheckedAttributes:
    """Attributes that are fields of a subclass, a dataclass, or inherited from every configuration; there are no others.

    Attributes:
        attribute_map: other names of fields.
        extra: the subclass' last field: what config.json holds beyond the fields, and the inherited attributes.
    """

    attribute_map: ClassVar[dict[str, str]] = {
        "attn_implementation": "_attn_implementation",  # what begins so is never written
        "name_or_path": "_name_or_path",
        "torch_dtype": "dtype",
        "use_return_dict": "return_dict",
    }
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    extra: dict[str, Any]

    @classmethod
    def settable_names(cls) -> set[str]:
        """Return the names of everything that a configuration can say.

        Returns:
            The names of fields and of other attributes.
        """
        named = {item.name for item in fields(cls)} - {"extra"}
        return {*named, *cls.attribute_map, *INHERITED, *FIXED}

    @classmethod
    def _arranged(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields by their own names, and everything else in `extra`; of a field and its alias, the field."""
        named = {item.name for item in fields(cls)}
        arranged = {name: value for name, value in values.items() if name in named}
        arranged["extra"] = {**arranged.get("extra", {})}
        for name, value in values.items():
            real = cls.attribute_map.get(name, name)
            if real not in named:
                arranged["extra"][real] = value
            elif real != name and value is not None:
                arranged.setdefault(real, value)
        return arranged

    @property
    def _is_made(self) -> bool:
        """Whether the constructor has set all fields."""
        return "extra" in self.__dict__

    def __getattr__(self, name: str) -> Any:
        """Return what is no field: an alias, or what is in `extra`."""
        if name in type(self).attribute_map:
            return getattr(self, self.attribute_map[name])
        for values in (self.__dict__.get("extra", {}), INHERITED, FIXED):
            if name in values:
                return values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {self._unknown(name)}")

    def __setattr__(self, name: str, value: Any) -> None:
        name = self.attribute_map.get(name, name)
        if name == "dtype" and value is not None:
            value = str(value).removeprefix("torch.")  # a framework's type, or its name
        if name.startswith("_") or name in self.__dataclass_fields__:
            super().__setattr__(name, value)
        elif name in self.extra or name in INHERITED or name in FIXED:
            self.extra[name] = value
        else:
            raise AttributeError(f"{type(self).__name__} has no attribute {self._unknown(name)}")

    def _unknown(self, name: str) -> str:
        """Return the name, and the known one that it resembles."""
        return unknown_names([name], sorted(self.settable_names() | self.extra.keys()) if self._is_made else ())

    def _inherited_problems(self) -> list[str]:
        """Return which of the inherited attributes cannot be as they are."""
        problems = [
            f"{name} is {self.extra[name]!r}, and these models know it as {value!r} only"
            for name, value in FIXED.items()
            if name in self.extra and self.extra[name] not in (value, None)
        ]
        pieces, classes = self.chunk_size_feed_forward, self.architectures
        if type(pieces) is not int or pieces < 0:
            problems.append(f"chunk_size_feed_forward is {pieces!r}, not an integer from 0 on")
        if classes is not None and not (isinstance(classes, list) and all(isinstance(item, str) for item in classes)):
            problems.append(f"architectures is {classes!r}, not a list of names")
        if self._attn_implementation not in (None, *ATTENTION):
            problems.append(f"attn_implementation is {self._attn_implementation!r}, not one of {', '.join(ATTENTION)}")
        return problems

    def problems(self) -> list[str]:
        """Return what cannot work, a part of a sentence for each.

        Returns:
            The problems; empty where there is none.
        """
        return self._inherited_problems()

    def validate(self) -> None:
        """Check that everything fits together, as it was set last.

        Raises:
            ValueError: naming everything that cannot work, at once.
        """
        if problems := self.problems():
            raise ValueError("the configuration cannot work: " + "; ".join(problems))

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several attributes.

        Args:
            config_dict: the new values by name.

        Raises:
            AttributeError: naming all names at once that a configuration does not have; then nothing is set.
        """
        if unknown := config_dict.keys() - self.settable_names() - self.extra.keys():
            known = sorted(self.settable_names() | self.extra.keys())
            raise AttributeError(f"{type(self).__name__} has no attribute {unknown_names(unknown, known)}")
        for name, value in config_dict.items():
            setattr(self, name, value)
