"""Mappings as data: rules and their inversion, the rows that they make, and tensors derived from others."""

from prenorm.rules.apply import Application, apply_layout, apply_target
from prenorm.rules.derived import ComputedTensor, JoinedTensor, cast
from prenorm.rules.rows import Dropped, Moved, Row, as_moved, extend
from prenorm.rules.rules import Constant, Drop, Join, Rename, Split, expand, invert, match

__all__ = [
    "Application", "ComputedTensor", "Constant", "Drop", "Dropped", "Join", "JoinedTensor", "Moved", "Rename", "Row", "Split",
    "apply_layout", "apply_target", "as_moved", "cast", "expand", "extend", "invert", "match",
]  # fmt: skip
