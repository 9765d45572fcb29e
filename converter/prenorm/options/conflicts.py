"""What does not go together in one call: options of which one makes another useless, and arguments in the wrong order.

An option that has no effect is an error, never ignored. What a mode of a command rules out is in `modes`; what only the
checkpoint or the Hub can tell (a head that it does not have, a repo that is public already) is refused where it is found out.
"""

from __future__ import annotations

import shlex
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any

from prenorm.errors import UsageProblem
from prenorm.options.facts import Kind, OptionGroup, argument_fields, field_name, option_fields, option_of
from prenorm.options.groups import PublicationOptions, RequestOptions, SourceOptions
from prenorm.options.language import command_name, is_python
from prenorm.options.values import GPT2, TaskKind


@dataclass(frozen=True)
class Conflict:
    """An option that another one makes useless.

    Attributes:
        option: the useless one, by field name.
        other: what makes it useless, by field name.
        why: the reason, as the end of a sentence.
        values: the values of `other` that do; empty: any.
    """

    option: str
    other: str
    why: str
    values: tuple[str, ...] = ()


_CHECKPOINT, _GOLDEN = (
    ".pt",
    ".npz",
)  # what files are called; only to tell one misspelt name from two in the wrong order
_HEADLESS = (TaskKind.MASKED_LM.value, TaskKind.ENCODER.value)
_ONE_TOKENIZER = "they are different tokenizers, and one encoded the training data"
_NO_TOKENIZER = "no tokenizer is made"

CONFLICTS = (
    Conflict("head", "task", "it has no classification head", _HEADLESS),
    Conflict("label_dict", "task", "it has no classes", (*_HEADLESS, TaskKind.MULTIPLE_CHOICE.value)),
    Conflict("sentencepiece", "bpe_dir", _ONE_TOKENIZER),
    Conflict("words", "bpe_dir", _ONE_TOKENIZER),
    Conflict("words", "sentencepiece", _ONE_TOKENIZER),
    *(Conflict(name, "no_tokenizer", _NO_TOKENIZER) for name in ("bpe_dir", "sentencepiece", "words")),
    Conflict("fairseq_python", "reference", "the built-in reference needs no other interpreter", ("builtin",)),
    Conflict("exhaustive", "reference", "fairseq computes the whole probe in any case", ("fairseq",)),
    Conflict("exhaustive", "compute", "float32 is judged on the whole probe in any case", ("float32",)),
    Conflict("revision", "pull_request", "a pull request is always against the main branch"),
    Conflict("jobs", "status", "nothing is converted"),
    Conflict("slurm", "status", "nothing is submitted"),
    Conflict("dry_run", "status", "nothing is written in any case"),
    Conflict("tensors", "as_json", "the document has all tensors in any case"),
    Conflict("tensors", "quiet", "nothing is listed"),
    Conflict("no_wait", "dry_run", "nothing is submitted"),
)

# Options that mean something only with another one.
NEEDS = (("sbatch", "slurm"), ("no_wait", "slurm"))


def check_call(verb: str, *groups: OptionGroup) -> None:
    """Refuse options that have no effect, and arguments in the wrong order.

    Args:
        verb: the command, or the function of the same name.
        *groups: its options.

    Raises:
        UsageProblem: if one option makes another useless, the Hub is to be asked in some way and is not asked, or swapped
            arguments would fit and these do not.
    """
    for group in groups:
        _check_order(verb, group)
        _check_hub(group)
        items = {item.name: item for item in option_fields(type(group))}
        for conflict in CONFLICTS:
            if conflict.option in items and conflict.other in items:
                _check_pair(group, conflict, items[conflict.option], items[conflict.other])
        for name, needed in NEEDS:
            if name in items and needed in items:
                _check_need(group, items[name], items[needed])


def _check_pair(group: OptionGroup, conflict: Conflict, item: Field[Any], other: Field[Any]) -> None:
    value = getattr(group, other.name)
    is_useless = value in conflict.values if conflict.values else value != other.default
    if is_useless and getattr(group, item.name) != item.default:
        named = field_name(other, value) if conflict.values else field_name(other)
        named += ", which is the default" if value == other.default else ""
        raise UsageProblem(
            f"has no effect with {named}: {conflict.why}", subject=field_name(item), advice="Leave one of the two out"
        )


def _check_need(group: OptionGroup, item: Field[Any], needed: Field[Any]) -> None:
    """Refuse an option without the one that gives it a meaning."""
    if getattr(group, item.name) != item.default and getattr(group, needed.name) == needed.default:
        raise UsageProblem(
            f"has no effect without {field_name(needed)}",
            subject=field_name(item),
            advice=f"Leave it out, or add {field_name(needed)}",
        )


def _check_hub(group: OptionGroup) -> None:
    """Refuse what says how the Hub is asked, where no argument or option says that it is."""
    if not isinstance(group, RequestOptions) or isinstance(group, PublicationOptions):
        return
    items = [*argument_fields(type(group)), *option_fields(type(group))]
    if isinstance(group, SourceOptions) and group.whole and not _has_remote_checkpoint(group):
        whole = next(item for item in items if item.name == "whole")
        raise UsageProblem(
            "has no effect: the checkpoint is not on the Hub", subject=field_name(whole), advice="Leave it out"
        )
    if any(_names_the_hub(item, str(getattr(group, item.name))) for item in items):
        return
    for item in option_fields(RequestOptions):
        if getattr(group, item.name) != item.default:
            raise UsageProblem(
                "has no effect: nothing here is asked of the Hub", subject=field_name(item), advice="Leave it out"
            )


def _has_remote_checkpoint(group: OptionGroup) -> bool:
    items = argument_fields(type(group))
    return any(
        option_of(item).kind is Kind.PLACE and _names_the_hub(item, str(getattr(group, item.name))) for item in items
    )


def _names_the_hub(item: Field[Any], value: str) -> bool:
    """Return whether a value means a file or a repo of the Hub."""
    kind = option_of(item).kind
    if kind is Kind.PLACE:
        return value.startswith("hf://")
    if kind is Kind.FOLDER_PLACE:
        return _is_repo_id(value)
    return item.name == "bpe_dir" and value == GPT2 and not Path(value).exists()


def _is_repo_id(value: str) -> bool:
    return value.count("/") == 1 and not Path(value).exists()


def _check_order(verb: str, group: OptionGroup) -> None:
    """Refuse two arguments that fit each other's place, and not their own."""
    items = argument_fields(type(group))
    values = [str(getattr(group, item.name)) for item in items if getattr(group, item.name) is not None]
    if len(items) != 2 or len(values) != 2:
        return
    first, second = items
    if not _may_be(second, values[1]) and _is_there(first, values[1]) and _may_be(second, values[0]):
        raise UsageProblem("the arguments are in the wrong order", advice=f"Write {_call(verb, values[::-1])}")


def _is_there(item: Field[Any], value: str) -> bool:
    """Return whether what a command reads is there: its checkpoint, or its folder."""
    if option_of(item).kind is Kind.PLACE:
        return value.startswith("hf://") or (Path(value).is_file() and Path(value).suffix != _GOLDEN)
    return Path(value).is_dir()


def _may_be(item: Field[Any], value: str) -> bool:
    """Return whether a value can stand for a second argument: a folder or a file to make, a folder to judge, a repo."""
    path = Path(value)
    kind = option_of(item).kind
    if kind is Kind.FOLDER:
        return path.is_dir() or not path.exists()
    if kind is Kind.PATH:
        return not path.exists() and path.suffix != _CHECKPOINT
    return _is_repo_id(value) or (kind is Kind.FOLDER_PLACE and path.is_dir())


def _call(verb: str, values: list[str]) -> str:
    if is_python():
        return f"{command_name(verb)}({', '.join(map(repr, values))})"
    return f"{command_name(verb)} {shlex.join(values)}"
