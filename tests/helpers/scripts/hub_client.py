"""Calls the real huggingface_hub, in whatever interpreter this runs; calls in JSON on stdin, what came of them on stdout.

A call is `{"do": name of a method of HfApi, ...its arguments}`; `operations` of create_commit are
`{"add": {path in the repo: path here}, "delete": [paths]}`. `{"do": "together", "calls": [...]}` makes them at the same time.
"""

import dataclasses
import datetime
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download

OTHERS = {"hf_hub_download": hf_hub_download, "snapshot_download": snapshot_download}


def operations(asked):
    adds = [CommitOperationAdd(name, path) for name, path in asked.get("add", {}).items()]
    return adds + [CommitOperationDelete(name) for name in asked.get("delete", [])]


def plain(value):
    """JSON of a result: dataclasses by their fields, iterators as lists."""
    if isinstance(value, huggingface_hub.CommitInfo):
        return {"oid": value.oid, "commit_url": value.commit_url, "pr_url": value.pr_url, "pr_num": value.pr_num}
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name, None)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return [plain(item) for item in value] if hasattr(value, "__iter__") else str(value)


def told(error):
    """The exception and those beneath it, by name and HTTP status, the outermost first."""
    chain = []
    while error is not None:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        chain.append({"type": type(error).__name__, "status": status, "text": str(error)})
        error = error.__cause__
    return chain


def call(asked):
    name = asked.pop("do")
    if name == "together":
        with ThreadPoolExecutor(len(asked["calls"])) as threads:
            return {"answers": list(threads.map(call, asked["calls"]))}
    if "operations" in asked:
        asked["operations"] = operations(asked["operations"])
    started = time.monotonic()
    try:
        outcome = {"result": plain((OTHERS.get(name) or getattr(HfApi(), name))(**asked))}
    except Exception as error:
        outcome = {"error": told(error)}
    return {**outcome, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    answers = [call(asked) for asked in json.load(sys.stdin)]
    json.dump({"version": huggingface_hub.__version__, "answers": answers}, sys.stdout)
