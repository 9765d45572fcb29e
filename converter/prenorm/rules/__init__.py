"""Mappings as data: rules and their inversion, the rows that they make, and tensors derived from others."""

from prenorm.rules.apply import Application, apply_layout, apply_target
from prenorm.rules.derived import ComputedTensor, JoinedTensor, cast
from prenorm.rules.inversion import Absent, Copy, Expect, Inverse, Join, Restoration, Unify, invert, restore
from prenorm.rules.rows import COPY, Dropped, Moved, Operation, OperationKind, Row, as_moved, constant, extend
from prenorm.rules.rules import Constant, Drop, Rename, Split, expand, match

__all__ = [
    "COPY", "Absent", "Application", "ComputedTensor", "Constant", "Copy", "Drop", "Dropped", "Expect", "Inverse", "Join",
    "JoinedTensor", "Moved", "Operation", "OperationKind", "Rename", "Restoration", "Row", "Split", "Unify", "apply_layout",
    "apply_target", "as_moved", "cast", "constant", "expand", "extend", "invert", "match", "restore",
]  # fmt: skip
