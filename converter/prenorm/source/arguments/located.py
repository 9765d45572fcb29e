"""A configuration's values and where they stand: within which containers, whatever omegaconf nodes are around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prenorm.checkpoint.pickle.placeholders import Placeholder
from prenorm.source.arguments.foreign import NotPlain, is_namespace

MAX_DEPTH = 32  # levels and references together; fairseq's own configs have 4
_MAX_WRAPPERS = 8  # nodes around one value; omegaconf needs 2, for unions
_WRAPPED = NotPlain("it is wrapped in more nodes than omegaconf ever does")


def node_state(value: object) -> Mapping[object, object] | None:
    """Return the attributes of an omegaconf node.

    Args:
        value: any value of a configuration.

    Returns:
        The attributes; None for a value that is no such node.
    """
    if isinstance(value, Placeholder) and value.name.module.partition(".")[0] == "omegaconf":
        state = value.state
        if isinstance(state, dict) and ("_content" in state or "_val" in state):
            return state
    return None


def held_by(value: object) -> object:
    """Take off the omegaconf nodes around a value.

    Args:
        value: any value of a configuration.

    Returns:
        What the innermost node holds.
    """
    for _ in range(_MAX_WRAPPERS):
        state = node_state(value)
        if state is None:
            return value
        value = state["_content"] if "_content" in state else state["_val"]
    return _WRAPPED


@dataclass(slots=True, eq=False)
class LocatedValue:
    """A value and where it stands: under which key of which container, and by which `path` from the top it was reached.

    `live` says whether omegaconf looks into it for references; it does not in a Namespace.
    """

    value: object
    live: bool
    key: object = None
    parent: LocatedValue | None = None
    path: tuple[str, ...] = ()
    held: object = field(init=False)
    level: int = field(init=False)

    def __post_init__(self) -> None:
        """Look inside the value, and count the containers around it."""
        self.held = held_by(self.value)
        self.level = 0 if self.parent is None else self.parent.level + 1

    def child(self, key: object, value: object) -> LocatedValue:
        """Locate a member of this container.

        Args:
            key: the member's key or index.
            value: the member.

        Returns:
            The member with its way from the top.
        """
        path = (*self.path, str(key))
        if self.live and not is_namespace(self.held):
            return LocatedValue(value, key=key, parent=self, path=path, live=True)
        if node_state(value) is not None:  # a config within a Namespace: a tree of its own
            return LocatedValue(value, key=key, parent=containers_above(value), path=path, live=True)
        return LocatedValue(value, key=key, parent=self, path=path, live=False)

    def root(self) -> LocatedValue:
        """Find the outermost container.

        Returns:
            The container.
        """
        place = self
        while place.parent is not None:
            place = place.parent
        return place

    def container(self, up: int) -> LocatedValue | None:
        """Find a container around this value.

        Args:
            up: how many levels above; 1 is the one it is in.

        Returns:
            The container, or None if there are fewer levels.
        """
        place: LocatedValue | None = self
        for _ in range(up):
            place = None if place is None else place.parent
        return place


def containers_above(value: object) -> LocatedValue | None:
    """Locate the containers that `_parent` leads to, from which references count; a number of them, if in a circle.

    Args:
        value: an omegaconf node; of any other value nothing is above.

    Returns:
        The innermost container with its way from the top, or None.
    """
    chain = [value]
    while (state := node_state(chain[-1])) is not None and len(chain) <= MAX_DEPTH:
        above = state.get("_parent")
        if node_state(above) is None:
            break
        chain.append(above)
    place: LocatedValue | None = None
    for item in reversed(chain[1:]):
        place = LocatedValue(item, parent=place, live=True)
    return place
