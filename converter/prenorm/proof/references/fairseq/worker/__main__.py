"""Requests come on stdin as lines of JSON; answers leave on the original stdout, each line behind a mark."""

from __future__ import annotations

import importlib
import json
import logging
import os
import queue
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .refusal import Refusal
from .running import RunningModel

MARK = "@prenorm "


class _Warnings(logging.Handler):
    """Keeps the first warnings that fairseq logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.texts) < 20:
            self.texts.append(record.getMessage()[:300])


def _environment() -> dict[str, str]:
    fairseq = importlib.import_module("fairseq")
    importlib.import_module("fairseq.models.roberta")
    version = re.sub(r"\s+", " ", str(getattr(fairseq, "__version__", "of unknown version")))
    return {
        "python": sys.version.split()[0],
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "fairseq": version,
    }


def _load(request: dict[str, Any], warnings: _Warnings) -> tuple[RunningModel, dict[str, Any]]:
    warnings.texts.clear()
    model = RunningModel(request)
    fairseq, encoder = model.loaded.model, model.loaded.encoder
    layer = encoder.layers[0]
    built = (fairseq, fairseq.encoder, encoder, layer, layer.self_attn)
    classes = [f"{type(part).__module__}.{type(part).__name__}" for part in built]
    return model, {"used": model.used, "classes": classes, "casts": model.casts, "warnings": list(warnings.texts)}


def _answer(
    request: dict[str, Any], model: RunningModel | None, warnings: _Warnings, say: Callable[[Any], None]
) -> RunningModel | None:
    """Answer one request; return the model that the next one meets."""
    try:
        if request["do"] == "load":
            model = None  # the one before leaves memory first
            model, done = _load(request, warnings)
        elif request["do"] == "run" and model is not None:
            model.run(torch.tensor(request["input_ids"], dtype=torch.long), Path(request["folder"]), say)
            done = {}
        else:
            raise Refusal("request", "there is no such request, or no model yet")
        say({"done": done})
    except Refusal as refusal:
        say({"error": refusal.kind, "message": str(refusal), "problems": refusal.problems[:50]})
    except Exception as error:
        say({"error": "fairseq", "message": f"{type(error).__name__}: {str(error)[:1000]}", "problems": []})
    return model


def _requests() -> Iterator[dict[str, Any]]:
    """Yield the requests; when they end, so does this process, in the middle of its work if need be.

    They end because prenorm is gone. It may have been killed, and then nobody else removes the files.
    """
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        folder = Path(__file__).resolve().parent.parent
        if folder.name.startswith("prenorm-fairseq-"):  # where this package was copied to, with the files
            shutil.rmtree(str(folder), ignore_errors=True)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def main() -> None:
    """Answer requests until stdin ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(content: Any) -> None:
        channel.write(MARK + json.dumps(content) + "\n")
        channel.flush()

    warnings, requests = _Warnings(), _requests()
    try:
        environment = _environment()
    except Exception as error:
        say({"error": "import", "message": f"{type(error).__name__}: {str(error)[:500]}", "problems": []})
        next(requests)
        return
    logging.getLogger().addHandler(warnings)
    say({"done": environment})
    model = None
    for request in requests:
        model = _answer(request, model, warnings, say)


if __name__ == "__main__":
    main()
