"""Which layers of a checkpoint the model has: all, or those that `--encoder-layers-to-keep` lists."""

from __future__ import annotations

import re
from dataclasses import replace

from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import CONTRADICTORY, UnreadableCheckpoint
from prenorm.rules.rows import Dropped
from prenorm.source.arguments import Arguments
from prenorm.source.layouts import ENCODER, Canonical
from prenorm.source.sizes import count_layers

_LAYER = re.compile(re.escape(ENCODER) + r"layers\.(\d+)\.(.*)")


def keep_layers(canonical: Canonical, arguments: Arguments) -> tuple[Canonical, tuple[int, ...] | None]:
    """Select and renumber the layers that are listed, in rising order, as fairseq prunes a file that it loads.

    A file that has just as many layers as are listed was pruned before it was saved, and stays as it is.

    Args:
        canonical: the source tensors under canonical names.
        arguments: what the checkpoint records.

    Returns:
        The tensors with the layers numbered from 0, and the file's numbers of the layers that were selected from more.

    Raises:
        UnreadableCheckpoint: if the list names layers that the file does not have.
    """
    listed = arguments.layers_to_keep
    if listed is None or not any(_LAYER.fullmatch(key) for key in canonical.tensors):
        return canonical, None
    recorded = arguments.find("encoder_layers_to_keep")
    count = count_layers(canonical.tensors)
    if len(listed) == count:
        return canonical, None
    if listed[-1] >= count:
        raise UnreadableCheckpoint(
            f"encoder_layers_to_keep={shown(recorded)} in the arguments, but the tensors are {count} layers",
            advice=CONTRADICTORY,
        )
    tensors, dropped = {}, list(canonical.dropped)
    for key, item in canonical.tensors.items():
        matched = _LAYER.fullmatch(key)
        if matched is None:
            tensors[key] = item
        elif int(matched[1]) in listed:
            tensors[f"{ENCODER}layers.{listed.index(int(matched[1]))}.{matched[2]}"] = item
        else:
            dropped.append(
                Dropped(item.source or key, item.tensor, f"encoder_layers_to_keep={shown(recorded)}: not kept")
            )
    return replace(canonical, tensors=tensors, dropped=tuple(dropped)), listed
