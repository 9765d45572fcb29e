"""Values of a pickle in messages: short, and in a time that does not depend on the value."""

from __future__ import annotations

from prenorm.checkpoint.pickle.placeholders import GlobalName, Placeholder

_MAX_PARTS = 8


def shown(value: object, *, nested: bool = False) -> str:
    """Say a value of a pickle in a few words, in a time that does not depend on the value.

    Never its `repr`: nested and repeated containers can make that endless.

    Args:
        value: any value that the pickle machine makes.
        nested: whether it is a part of another, whose own parts are only counted.

    Returns:
        At most some 80 characters for each of at most 8 parts.
    """
    if value is None or isinstance(value, bool | int | float):
        return str(value)[:40]
    if isinstance(value, str):
        return value[:80]
    if isinstance(value, GlobalName):
        return str(value)[:80]
    if isinstance(value, Placeholder):
        return f"an object of {str(value.name)[:80]}"
    if isinstance(value, list | tuple) and not nested and len(value) <= _MAX_PARTS:
        return f"[{', '.join(shown(part, nested=True) for part in value)}]"
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
