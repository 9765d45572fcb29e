"""How far a download is, told by huggingface_hub to bars that show nothing and pass it on."""

from __future__ import annotations

import inspect
from typing import Any

from prenorm.progress import Progress


def counted_in(progress: Progress) -> dict[str, Any]:
    """Return the options of huggingface_hub's download with which a file's bytes are counted in a stage.

    Args:
        progress: receives the bytes as they arrive.

    Returns:
        Keywords of `hf_hub_download`; none for a release that does not tell.
    """
    from huggingface_hub import hf_hub_download
    from tqdm import tqdm

    if "tqdm_class" not in inspect.signature(hf_hub_download).parameters:
        return {}
    bars: list[Any] = []

    class CountedBytes(tqdm):  # type: ignore[misc]
        """A bar that shows nothing. Of Xet's two for one file, bytes transferred and put together, the farther one counts."""

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            keywords.pop("name", None)  # which huggingface_hub gives to bars of its own
            super().__init__(*arguments, **{**keywords, "disable": True})
            self.counted = 0
            bars.append(self)
            self.update(keywords.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            """Count bytes.

            Args:
                n: how many more.
            """
            before = max(bar.counted for bar in bars)
            self.counted += int(n or 0)
            progress.advance(max(self.counted - before, 0))

    return {"tqdm_class": CountedBytes}
