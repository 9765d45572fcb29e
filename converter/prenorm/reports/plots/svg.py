"""What matplotlib's SVG needs to stand inside a page: names for screen readers, colours of the page's scheme, no waste."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def finish(
    drawn: bytes,
    name: str,
    *,
    title: str,
    description: str,
    colours: Mapping[str, str],
    hover: Mapping[str, Sequence[str]],
) -> str:
    """Make one `<svg>` element of a drawing.

    Args:
        drawn: matplotlib's SVG file.
        name: prefix of the ids, so that several drawings can stand in one page.
        title: read out instead of the picture, first.
        description: read out instead of the picture, after the title.
        colours: CSS variable for each colour of the drawing, `#rrggbb`; the colour stays as its fallback.
        hover: texts for the markers of the groups with these ids, in order of drawing.

    Returns:
        The element.
    """
    root = ElementTree.fromstring(drawn)
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    for group in root.iter(f"{_SVG}g"):
        for marker, text in zip(group.iter(f"{_SVG}use"), hover.get(group.get("id", ""), ()), strict=False):
            ElementTree.SubElement(marker, f"{_SVG}title").text = text
    _drop_unused_ids(root)
    for element in root.iter():
        style = element.get("style")
        if style is not None:
            for colour, variable in colours.items():
                style = style.replace(colour, f"var({variable}, {colour})")
            element.set("style", style)
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        label = Element(f"{_SVG}{tag}", id=f"{name}-{tag}")
        label.text = text
        root.insert(position, label)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    return ElementTree.tostring(root, encoding="unicode")


def _drop_unused_ids(root: Element) -> None:
    used = set()
    for element in root.iter():
        used.add(element.get(_XLINK, "").removeprefix("#"))
        for value in element.attrib.values():
            used.update(_REFERENCE.findall(value))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
