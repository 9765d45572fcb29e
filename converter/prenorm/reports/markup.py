"""HTML that cannot forget to escape: text becomes part of a page only through `element`, which escapes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from prenorm.reports.text import visible

_VOID = {"meta", "input", "br"}


class Markup(str):
    """HTML as it is: made by `element`, or trusted by whoever wraps it."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: str | bool | None) -> Markup:
    """One element. Children and attribute values that are not `Markup` are escaped, invisible characters spelled out.

    Args:
        tag: the element's name.
        children: text or `Markup`; None is left out.
        attributes: `class_` and `for_` lose the underscore behind, others within become hyphens; True gives the name
            alone, False and None nothing.
    """
    stated = "".join(
        f" {_name(name)}" if value is True else f' {_name(name)}="{text(value)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    start = f"<{tag}{stated}>"
    if tag in _VOID:
        return Markup(start)
    return Markup(f"{start}{joined(*children)}</{tag}>")


def joined(*children: str | None, between: str = "") -> Markup:
    """The children one after the other."""
    return Markup(between.join(text(child) for child in children if child is not None))


def text(value: str) -> str:
    """`value` itself if it is `Markup`, else escaped."""
    return value if isinstance(value, Markup) else escape(visible(value), quote=True)


def table(head: Sequence[str], rows: Iterable[Markup], **attributes: str) -> Markup:
    """A table of the rows that `row` made."""
    titles = element("tr", *(element("th", name, scope="col") for name in head))
    return element("table", element("thead", titles), element("tbody", *rows), **attributes)


def row(head: Sequence[str], cells: Sequence[str], **attributes: str) -> Markup:
    """A row; each cell carries its column's title, which narrow screens show beside it."""
    shown = (cell if isinstance(cell, Markup) or not cell else element("span", cell, class_="long") for cell in cells)
    named = (element("td", cell, data_label=name) for name, cell in zip(head, shown, strict=True))
    return element("tr", *named, **attributes)


def name_cell(name: str | None) -> Markup:
    """A tensor's or module's name, which may break after its dots; a dash for None."""
    if name is None:
        return Markup("–")
    return element("span", Markup(text(name).replace(".", ".<wbr>")), class_="name")


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")
