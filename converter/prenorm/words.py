"""Choices that are written as their words."""

from __future__ import annotations

from enum import Enum


class Worded(str, Enum):
    """An enumeration whose members read as their values, as those of Python 3.11's StrEnum do."""

    __str__ = str.__str__
