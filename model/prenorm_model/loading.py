"""From a folder to a model, as far as no framework is concerned: what fits, what is said of the rest, which config."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.fitting import ExpectedWeights, Fit, Mismatch, Shape, fit
from prenorm_model.hub import HubOptions, Location


class LoadingInfo(TypedDict):
    """What `output_loading_info` returns, by the names of the model's parameters, as transformers does.

    Attributes:
        missing_keys: the parameters that were initialized anew, because there are no weights for them.
        unexpected_keys: the stored weights that were left out.
        mismatched_keys: the parameters that were initialized anew, because the stored shape, the second, is not theirs.
        error_msgs: empty; whatever does not fit is an error.
    """

    missing_keys: set[str]
    unexpected_keys: set[str]
    mismatched_keys: set[Mismatch]
    error_msgs: list[str]


def fit_strictly(
    model: str,
    location: Location,
    stored: Mapping[str, Shape],
    expected: ExpectedWeights,
    *,
    ignore_mismatched_sizes: bool = False,
    ignore_unexpected_keys: bool = False,
) -> Fit:
    """Match stored weights with a model's parameters, and accept nothing that is left over on either side.

    Args:
        model: the name of the model's class.
        location: where the weights are.
        stored: the shapes of the stored weights, by their names in the model.
        expected: what the model needs.
        ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
        ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.

    Returns:
        Where each parameter's weight comes from, and what is initialized anew.

    Raises:
        ValueError: listing missing, unexpected and mismatched keys.
    """
    matched = fit(stored, expected, ignore_mismatched_sizes=ignore_mismatched_sizes)
    problems = sorted([*matched.problems, *(() if ignore_unexpected_keys else matched.unexpected)])
    if problems:
        raise ValueError(f"{location} does not fit {model}:\n  " + "\n  ".join(problems))
    return matched


def warn_of_fresh_weights(model: str, location: Location, matched: Fit, *, stacklevel: int) -> None:
    """Say which parts of a model were initialized anew, if any were.

    Args:
        model: the name of the model's class.
        location: where the weights are.
        matched: the result of the match.
        stacklevel: of the caller, 1, or of whom it blames: the line that called `from_pretrained`.
    """
    if not matched.fresh:
        return
    parts = sorted({re.sub(r"\.\d+\.crossattention$", ".*.crossattention", part) for part in matched.fresh})
    verb = "is" if len(parts) == 1 else "are"
    warnings.warn(
        f"{', '.join(parts)} of {model} {verb} not in {location} and newly initialized; train before you rely on it",
        stacklevel=stacklevel + 1,
    )


def loading_info(matched: Fit) -> LoadingInfo:
    """Return what `output_loading_info` shows of a match.

    Args:
        matched: the match.

    Returns:
        What did not come from the files or did not go into the model.
    """
    return LoadingInfo(
        missing_keys=set(matched.missing), unexpected_keys=set(matched.unused), error_msgs=[],
        mismatched_keys=set(matched.mismatched),
    )  # fmt: skip


def config_to_load(
    location: Location, config: object, hub: HubOptions, changes: Mapping[str, Any]
) -> RobertaPreLayerNormConfig:
    """Return the configuration to load with: the one that came, or the one that lies where that is, or with the weights.

    Args:
        location: where the weights are.
        config: a configuration, transformers' too, or where its file is; None: with the weights.
        hub: how files of a repo are asked for.
        changes: fields to change.

    Returns:
        The configuration, which nobody else has.

    Raises:
        ValueError: if a configuration came together with changes.
        TypeError: if what came is no configuration.
    """
    if config is None:
        return RobertaPreLayerNormConfig.from_location(location, **changes)
    if isinstance(config, str | Path):
        return RobertaPreLayerNormConfig.from_pretrained(config, **hub, **changes)
    if changes:
        raise ValueError(f"{', '.join(changes)}: change the config that is passed, or leave it out")
    if not hasattr(config, "to_dict"):
        raise TypeError(f"config is a {type(config).__name__}, not a configuration, a folder, a repo or a file")
    # The model's own, or transformers'. What the caller has stays as it is.
    if isinstance(config, RobertaPreLayerNormConfig):
        copied = copy.deepcopy(config)
    else:
        copied = RobertaPreLayerNormConfig.from_dict(config.to_dict())
    copied.name_or_path = str(location)
    return copied


def check_config(config: object) -> None:
    """Check that a model's first argument is the model's own configuration, and works.

    Args:
        config: what came.

    Raises:
        TypeError: if it is anything else.
        ValueError: naming every field that cannot work: its attributes may have been set since it was made.
    """
    if not isinstance(config, RobertaPreLayerNormConfig):
        raise TypeError(
            f"config is a {type(config).__module__}.{type(config).__name__}; "
            "RobertaPreLayerNormConfig.from_dict(config.to_dict()) makes the model's own of transformers'"
        )
    config.validate()
