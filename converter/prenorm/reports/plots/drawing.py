"""What all plots share: sizes, settings that are nobody's own, and the bytes of a figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDE, NARROW = (10.0, 4.6), (5.0, 3.8)  # inches, of 72 SVG units; the narrow one can be read on a phone
_SETTINGS: dict[Any, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # the one that matplotlib brings
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.image_inline": True,
}


@contextmanager
def own_settings(salt: str) -> Iterator[None]:
    """Draw with our settings, whatever a user's are.

    Args:
        salt: what ids are made of, so that several drawings can stand in one page.

    Yields:
        None: the block draws.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": f"prenorm {salt}"})
        yield


def as_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file.

    Args:
        figure: the figure.

    Returns:
        The file.
    """
    out = BytesIO()
    with own_settings("errors"):
        # `savefig` would draw all of it twice, the first time for the layout alone.
        FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return out.getvalue()


def as_svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file.

    Args:
        figure: the figure.

    Returns:
        The file.
    """
    out = BytesIO()
    figure.savefig(out, format="svg", transparent=True)
    return out.getvalue()
