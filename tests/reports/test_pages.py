"""The page on a narrow screen, measured by a browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.report_cases import bare, hostile, render, synthetic

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CASES = {
    "passing": synthetic(3),
    "failing": synthetic(3, fail_at="layer.1.attention.self.key"),
    "24 layers": synthetic(24, fail_at="layer.13.output.dense", positions=512),
    "no optional keys": bare(synthetic(3)),
    "hostile": hostile(),
}
WIDTH = 400
# How wide each page is beyond its frame, and how many of its boxes cut what they hold; those of one pixel, which only screen
# readers read, left out.
MEASURE = """
onload = () => {
  document.querySelector("output").textContent = Array.from(document.querySelectorAll("iframe"), frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const cut = Array.from(page.querySelectorAll("body *")).filter(box =>
      box.scrollWidth > box.clientWidth && box.clientWidth > 1 &&
      ["hidden", "clip"].includes(getComputedStyle(box).overflowX));
    return [root.scrollWidth - root.clientWidth, cut.length, root.clientWidth > 300].join(",");
  }).join(" ");
}
"""


def measured(pages: list[str], folder: Path) -> list[str]:
    """Return what the browser measures of every page in a frame of 400 pixels."""
    frames = "".join(
        f'<iframe style="width:{WIDTH}px;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'
        for page in pages
    )
    whole = folder / "pages.html"
    whole.write_text(f"<!doctype html><body>{frames}<output></output><script>{MEASURE}</script>", encoding="utf-8")
    seen = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'browser'}", "--dump-dom",
            whole.as_uri(),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"<output>([^<]+)</output>", seen.stdout)
    assert found, seen.stdout[-500:]
    return found[1].split()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser (chromium) is here to measure pages with")
def test_at_400_pixels_nothing_is_wider_than_the_screen_or_cut(tmp_path: Path) -> None:
    pages = [render(report, ".html") for report in CASES.values()]
    too_wide = (
        "<!doctype html><p style='width: 900px'>wide</p><p style='width:90px;overflow:hidden'>Robertaprelayernorms</p>"
    )
    *ours, control = measured([*pages, too_wide], tmp_path)
    assert control.partition(",")[0] != "0" and control.endswith(",1,true")  # the measure sees what is wrong
    assert dict(zip(CASES, ours, strict=True)) == dict.fromkeys(CASES, "0,0,true")
