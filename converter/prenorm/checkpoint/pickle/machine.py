"""A pickle reader that cannot run anything.

Python's own `Unpickler` imports and calls what the stream names; restricting it means guarding a machine built to
execute. This one has no such step: a global is a pair of strings, "calling" it looks that pair up in a table of our own
functions (`rebuild.py`), and whatever is not in the table becomes a `Placeholder` that records its arguments. Nothing is
imported, no `__setstate__`, `__init__` or hash of a foreign class exists to be run.

It also bounds what a stream can cost (`limits.py`): operations, text, nesting of marks, integer sizes, names, and
dictionary keys. Opcodes and their arguments: Python's `pickletools` documentation (protocols 0 to 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prenorm.checkpoint.limits import (
    MAX_CLASS_CHARACTERS,
    MAX_CLASSES,
    MAX_KEY_CHARACTERS,
    MAX_MARKS,
)
from prenorm.checkpoint.pickle.placeholders import GlobalName, Placeholder
from prenorm.checkpoint.pickle.stream import Bytes, PickleStream
from prenorm.checkpoint.tensors import LazyTensor, Storage

_LARGEST_KEY = 1 << 60  # beyond, integers can be chosen to collide in a dictionary


class _Mark:
    """The boundary that MARK puts on the stack."""


Rebuild = Mapping[GlobalName, Callable[[tuple[object, ...]], object]]
_MARK = _Mark()


class PickleMachine(PickleStream):
    """The stack, the memo, and what operations can do with them (`reader.py` runs them)."""

    def __init__(
        self,
        data: Bytes,
        rebuild: Rebuild,
        persistent: Callable[[object], object],
        *,
        position: int = 0,
    ) -> None:
        super().__init__(data, position)
        self.rebuild = rebuild
        self.persistent = persistent
        self.globals: dict[GlobalName, bool] = {}  # True: the stream calls it, False: it only names it
        self._named: dict[GlobalName, GlobalName] = {}
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self._marks = 0

    # -- the stack

    def pop(self) -> object:
        """Take the top off the stack.

        Returns:
            The value.

        Raises:
            UnreadableCheckpoint: if there is none above the last mark.
        """
        if not self.stack or self.stack[-1] is _MARK:
            raise self.broken("an operation finds nothing on the stack")
        return self.stack.pop()

    def drop(self) -> None:
        """Take off the top, or everything back to a mark that is itself on top.

        Raises:
            UnreadableCheckpoint: if the stack is empty.
        """
        if self.stack and self.stack[-1] is _MARK:
            self.pop_to_mark()
        else:
            self.pop()

    def top(self) -> object:
        """Look at the top of the stack.

        Returns:
            The value, which stays.

        Raises:
            UnreadableCheckpoint: if there is none above the last mark.
        """
        if not self.stack or self.stack[-1] is _MARK:
            raise self.broken("an operation finds nothing on the stack")
        return self.stack[-1]

    def mark(self) -> None:
        """Put a mark on the stack.

        Raises:
            UnreadableCheckpoint: if too many are open.
        """
        self._marks += 1
        if self._marks > MAX_MARKS:
            raise self.broken(f"more than {MAX_MARKS} marks are open")
        self.stack.append(_MARK)

    def pop_to_mark(self) -> list[object]:
        """Take off everything above the last mark, and the mark.

        Returns:
            The values, the lowest first.

        Raises:
            UnreadableCheckpoint: if there is no mark.
        """
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                self._marks -= 1
                return items
        raise self.broken("an operation finds no mark")

    # -- what the operations mean

    def put_global(self, module: str, name: str) -> None:
        """Put a class or function on the stack, as its name alone.

        Args:
            module: the module that the stream names.
            name: the name within it.

        Raises:
            UnreadableCheckpoint: if the name is too long, or the stream names too many.
        """
        length = len(module) + len(name)
        if length > MAX_CLASS_CHARACTERS:
            raise self.broken(f"a global's name has {length} characters")
        named = GlobalName(module, name)
        named = self._named.setdefault(named, named)  # one object for one name
        self.globals.setdefault(named, False)
        if len(self.globals) > MAX_CLASSES:
            raise self.broken(f"it names more than {MAX_CLASSES} classes")
        self.stack.append(named)

    def call(self, function: object, args: object, keywords: object = None) -> object:
        """Do what REDUCE and its kin come to: call a function of ours, or make a placeholder.

        Nothing that the stream names is ever called.

        Args:
            function: what the stream calls: a global, or a placeholder.
            args: the arguments, a tuple in a sound stream.
            keywords: keyword arguments; no function of ours takes any.

        Returns:
            What our function made, or a placeholder that records the call.

        Raises:
            UnreadableCheckpoint: if something else is called.
        """
        if isinstance(function, GlobalName):
            self.globals[function] = True
            build = self.rebuild.get(function)
            if build is not None and isinstance(args, tuple) and keywords is None:
                return build(args)
            return Placeholder(function, args)
        if isinstance(function, Placeholder):  # the result of one call is called again: still nothing happens
            return Placeholder(function.name, args)
        raise self.broken("it calls something that is not a global")

    def set_items(self, target: object, pairs: list[object]) -> None:
        """Set entries of a dictionary, or of a placeholder that stands for one.

        Args:
            target: what gets them.
            pairs: keys and values in turn.

        Raises:
            UnreadableCheckpoint: if `target` is neither, or a key has no value.
        """
        if len(pairs) % 2:
            raise self.broken("a dictionary gets a key without a value")
        # One by one: a million pairs at a time would stand in memory twice.
        entries = ((self.key(pairs[at]), pairs[at + 1]) for at in range(0, len(pairs), 2))
        if isinstance(target, dict):
            target.update(entries)
        elif isinstance(target, Placeholder):
            target.add_entries(entries)
        else:
            raise self.broken("an operation sets items of something that is no dictionary")

    def key(self, key: object) -> object:
        """Make a dictionary key that is cheap to hash and compare; what might not be gets a stand-in that equals nothing.

        Text and bytes are hashed with the process's own secret. Tuples are not: two million integers can be paired so
        that all pairs collide. Nothing ever looks up such a key.

        Args:
            key: the key of the stream.

        Returns:
            The key to use.

        Raises:
            UnreadableCheckpoint: if a text is too long for a key.
        """
        if isinstance(key, str):
            if len(key) > MAX_KEY_CHARACTERS:
                raise self.broken(f"a dictionary key of {len(key)} characters")
            return key
        if key is None or isinstance(key, bool) or (isinstance(key, int) and -_LARGEST_KEY < key < _LARGEST_KEY):
            return key
        return Placeholder(key if isinstance(key, GlobalName) else GlobalName("builtins", type(key).__name__))

    def append(self, target: object, items: list[object]) -> None:
        """Add items to a list, or to a placeholder that stands for one.

        Args:
            target: what gets them.
            items: the items.

        Raises:
            UnreadableCheckpoint: if `target` is neither.
        """
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Placeholder):
            target.add_items(items)
        else:
            raise self.broken("an operation appends to something that is no list")

    def build(self) -> None:
        """Take a state off the stack, and record it with the object below if that is a placeholder.

        Raises:
            UnreadableCheckpoint: if the state would give a tensor other contents.
        """
        state = self.pop()
        target = self.top()
        if isinstance(target, Placeholder):
            target.state = state
        elif isinstance(target, LazyTensor) and not _is_harmless_state(state):
            raise self.broken("a tensor is given other contents by a later operation")
        # Anything else is a list, a dictionary or the like: attributes set on it carry no weights.

    def remember(self, index: int) -> None:
        """Keep the top of the stack in the memo.

        Args:
            index: the entry's number.

        Raises:
            UnreadableCheckpoint: if the stack is empty.
        """
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Put an entry of the memo on the stack.

        Args:
            index: the entry's number.

        Raises:
            UnreadableCheckpoint: if there is none of that number.
        """
        try:
            self.stack.append(self.memo[index])
        except KeyError:
            raise self.broken(f"it refers to memo entry {index}, which does not exist") from None


def _is_harmless_state(state: object) -> bool:
    """Say whether a state is what torch before 0.4 wrote: (requires_grad, volatile, hooks), and no other contents."""
    return isinstance(state, tuple) and len(state) == 3 and not any(isinstance(x, LazyTensor | Storage) for x in state)
