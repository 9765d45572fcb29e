"""What the pickle reader makes of objects, made by hand: for tests of files that no program would write."""

from __future__ import annotations

from prenorm.checkpoint.pickle.placeholders import GlobalName, Placeholder


def namespace(**attributes: object) -> Placeholder:
    """A Namespace."""
    return stand_in("argparse", "Namespace", **attributes)


def stand_in(module: str, name: str, *args: object, **state: object) -> Placeholder:
    """An object of any class, with the arguments it is made of and its attributes."""
    made = Placeholder(GlobalName(module, name), args)
    made.state = state or None
    return made


def config(entries: object, parent: object = None) -> Placeholder:
    """An omegaconf DictConfig."""
    return stand_in("omegaconf.dictconfig", "DictConfig", _content=entries, _parent=parent, _metadata=None)


def value_node(value: object) -> Placeholder:
    """An omegaconf value node."""
    return stand_in("omegaconf.nodes", "AnyNode", _val=value, _parent=None, _metadata=None)
