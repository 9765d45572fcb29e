"""Plain values of a configuration, whatever carries it: dictionaries, Namespaces, omegaconf's containers, any objects.

omegaconf pickles a config as a tree of nodes: `DictConfig` and `ListConfig` keep their nodes under `_content`, value nodes
their value under `_val`, every node its container under `_parent` and its type under `_metadata`. Two generations of it
wrote fairseq checkpoints, 2.0 (fairseq up to 0.12) and 2.1 to 2.3. The result here is what `OmegaConf.to_container(config,
resolve=True)` gives there, except that a value that was never given ('???') is None, and so is what cannot be read.

A file can hold anything in place of this: values that contain themselves, references in a circle, a few bytes that unfold
into millions of values. So nothing here recurses deeper than `MAX_DEPTH`, and all values together are counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from prenorm.checkpoint.pickle.placeholders import Placeholder
from prenorm.errors import HARM, UnreadableCheckpoint
from prenorm.source.arguments.foreign import NotPlain, members, single
from prenorm.source.arguments.interpolation import MISSING, Interpolation, has_references, parse, taken_as
from prenorm.source.arguments.located import MAX_DEPTH, LocatedValue, containers_above, node_state

MAX_VALUES = 100_000  # a training run records some 400
MAX_TEXT = 1 << 20  # characters that references may put together

_NEVER_GIVEN = NotPlain("it was never given", is_given=False)
_LOOP = NotPlain("it contains itself")
_CIRCLE = NotPlain("it refers to itself")
_NO_TEXT = NotPlain("it puts a container, or what was never given, into text")
_DEEP = NotPlain(f"it is nested more than {MAX_DEPTH} levels deep")


class ConfigReader:
    """Reads one configuration. `not_plain` then says, by path, what was in it and could not be read, and why."""

    def __init__(self) -> None:
        self.not_plain: dict[tuple[str, ...], str] = {}
        self._values_left = MAX_VALUES
        self._text_left = MAX_TEXT
        self._open: set[int] = set()  # the containers that are being read
        self._active: set[tuple[int, object]] = set()  # the references that are being followed
        self._members: dict[int, object] = {}
        self._pieces: dict[int, list[str | Interpolation] | None] = {}

    def read(self, value: object, *, live: bool) -> object:
        """Read a configuration as plain values.

        Args:
            value: the configuration, as the pickle machine made it.
            live: whether text is looked through for references, as in omegaconf's containers it always is.

        Returns:
            The value as None, bool, number, text, list, or dictionary with text keys.

        Raises:
            UnreadableCheckpoint: if it unfolds into more than any training run records.
        """
        is_node = node_state(value) is not None
        return self._plain(LocatedValue(value, parent=containers_above(value), live=live or is_node), 0)

    def _plain(self, place: LocatedValue, depth: int) -> object:
        value = self._value(place, depth)
        if not isinstance(value, NotPlain):
            return value
        if value.is_given:
            self.not_plain[place.path] = value.reason
        return None

    def _value(self, place: LocatedValue, depth: int) -> object:
        held = place.held
        if isinstance(held, str) and place.live:
            return self._text(place, held, depth)
        inside = self._members_of(held)
        if inside is None:
            return held if isinstance(held, NotPlain) else single(held)
        if id(held) in self._open:
            return _LOOP
        if depth >= MAX_DEPTH:
            return _DEEP
        self._open.add(id(held))
        try:
            return self._all_of(place, inside, depth + 1)
        finally:
            self._open.discard(id(held))

    def _all_of(self, place: LocatedValue, inside: object, depth: int) -> object:
        assert isinstance(inside, Mapping | list | tuple)
        self._spend(len(inside))
        if isinstance(inside, Mapping):
            named = ((_key(key), key, item) for key, item in inside.items())
            return {name: self._plain(place.child(key, item), depth) for name, key, item in named if name is not None}
        return [self._plain(place.child(index, item), depth) for index, item in enumerate(inside)]

    def _members_of(self, held: object) -> object:
        if not isinstance(held, Placeholder):
            return members(held)
        if id(held) not in self._members:  # an object's may have to be put together: once, and counted
            inside = self._members[id(held)] = members(held)
            self._spend(0 if inside is held.state or inside is None else len(inside))
        return self._members[id(held)]

    def _spend(self, values: int) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise UnreadableCheckpoint(
                f"its training arguments unfold into more than {MAX_VALUES} values",
                advice="No training run records so many; the file is damaged or was made to do harm",
            )

    # -- references

    def _text(self, place: LocatedValue, text: str, depth: int) -> object:
        if text == MISSING:
            return _NEVER_GIVEN
        # A text is looked through once, however often it is referred to: it can be long.
        if id(text) not in self._pieces:
            self._pieces[id(text)] = parse(text) if has_references(text) else [text]
        pieces = self._pieces[id(text)]
        if pieces is None:
            return NotPlain(f"what {text[:60]!r} stands for was computed by the program that wrote it")
        if len(pieces) > 1:
            return self._joined(place, pieces, depth)
        whole = pieces[0] if pieces else text
        return whole if isinstance(whole, str) else _converted(place.value, self._referred(place, whole, depth))

    def _joined(self, place: LocatedValue, pieces: list[str | Interpolation], depth: int) -> object:
        parts: list[str] = []
        for piece in pieces:
            part = piece if isinstance(piece, str) else self._referred(place, piece, depth)
            if isinstance(part, NotPlain | dict | list):
                return part if isinstance(part, NotPlain) and part.is_given else _NO_TEXT
            parts.append(str(part))
        self._text_left -= sum(map(len, parts))
        if self._text_left < 0:
            raise UnreadableCheckpoint(
                f"references among its training arguments unfold into more than {MAX_TEXT} characters", advice=HARM
            )
        return _converted(place.value, "".join(parts))

    def _referred(self, place: LocatedValue, reference: Interpolation, depth: int) -> object:
        """Return the plain value that a reference leads to."""
        mark = (id(place.parent.held) if place.parent else 0, place.key)
        if mark in self._active:
            return _CIRCLE
        if depth >= MAX_DEPTH:
            return _DEEP
        self._active.add(mark)
        self._spend(1)
        try:
            target = self._find(place, reference, depth + 1)
            if isinstance(target, NotPlain):
                return target
            target.path = place.path
            return self._value(target, depth + 1)
        finally:
            self._active.discard(mark)

    def _find(self, place: LocatedValue, reference: Interpolation, depth: int) -> LocatedValue | NotPlain:
        """Locate what a reference names; where its way leads over other references, they are followed."""
        gone = NotPlain(f"it refers to '{'.'.join(reference.keys)[:80]}', which is not there")
        at = place.container(reference.up) if reference.up else place.root()
        for key in reference.keys:
            self._spend(1)
            if at is None:
                return gone
            while isinstance(at.held, str):
                followed = self._follow(at, depth)
                if isinstance(followed, NotPlain):
                    return followed
                at, depth = followed, depth + 1
            at = self._member(at, key) if at.level < 2 * MAX_DEPTH else None
        return gone if at is None else at

    def _follow(self, at: LocatedValue, depth: int) -> LocatedValue | NotPlain:
        """Locate what the reference at `at` names."""
        if depth >= MAX_DEPTH:
            return _DEEP
        pieces = parse(at.held) if at.live and isinstance(at.held, str) else None
        if pieces is None or len(pieces) != 1 or not isinstance(pieces[0], Interpolation):
            return NotPlain("it refers into a text")
        return self._find(at, pieces[0], depth + 1)

    def _member(self, at: LocatedValue, key: str) -> LocatedValue | None:
        inside = self._members_of(at.held)
        number = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else None
        if isinstance(inside, Mapping):
            name_held = next((name for name in (key, number) if name is not None and name in inside), None)
            return None if name_held is None else at.child(name_held, inside[name_held])
        if isinstance(inside, list | tuple) and number is not None and number < len(inside):
            return at.child(number, inside[number])
        return None


def _key(key: object) -> str | None:
    """Name a mapping's entry; None for keys that no argument has."""
    if isinstance(key, Placeholder):  # an enum's member
        key = single(key)
    return str(key) if isinstance(key, str) or type(key) is int else None


def _converted(node: object, value: object) -> object:
    """Return what the node with the reference makes of the value that it gave."""
    state = node_state(node)
    metadata = state.get("_metadata") if state is not None else None
    attributes = metadata.state if isinstance(metadata, Placeholder) else None
    is_modern = isinstance(attributes, dict) and "flags_root" in attributes  # omegaconf 2.0 has no such flag
    return taken_as(node.name.name, value) if is_modern and isinstance(node, Placeholder) else value
