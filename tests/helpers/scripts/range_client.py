"""Reads ranges of files on the Hub with our own code, in whatever interpreter this runs: jobs and answers in lines of JSON.

It needs huggingface_hub and nothing else that is installed.
"""

import contextlib
import hashlib
import importlib
import json
import os
import sys
import traceback


class Warnings:
    """Keeps what is told while it goes on."""

    def __init__(self):
        self.told, self.steps = [], 0

    def stage(self, name, total):
        pass

    def advance(self, steps):
        self.steps += steps

    def warn(self, text):
        self.told.append(text)


@contextlib.contextmanager
def changed(values):
    """Modules hold something else for a while, by dotted names."""
    before = []
    for name, value in values.items():
        module, _, attribute = name.rpartition(".")
        found = importlib.import_module(module)
        before.append((found, attribute, getattr(found, attribute)))
        setattr(found, attribute, value)
    try:
        yield
    finally:
        for found, attribute, value in before:
            setattr(found, attribute, value)


def read(job):
    """One reading: its exit code, and the checksum of the bytes that were asked for."""
    from prenorm.errors import PrenormError, describe
    from prenorm.hub import RetryPolicy, find_checkpoint, hub_file

    os.environ.pop("HF_TOKEN", None)
    if job.get("token"):
        os.environ["HF_TOKEN"] = job["token"]
    told = Warnings()
    policy = RetryPolicy(attempts=job.get("attempts", 3), first_wait=0.01, timeout=job.get("timeout", 60))
    missing = 0
    try:
        found = find_checkpoint(
            hub_file(job["address"]),
            lambda name: False,
            lambda name: False,
            policy,
            told,
            whole=job.get("whole", False),
        )
        for source in found.sources.values():
            missing += source.missing([tuple(one) for one in job["ranges"]])
            source.fetch([tuple(one) for one in job["ranges"]], told.advance)
        digest = hashlib.sha256()
        with found.path.open("rb") as file:
            for start, end in job["ranges"]:
                file.seek(start)
                digest.update(file.read(end - start))
        answer = {"code": 0, "sum": digest.hexdigest(), "ranged": bool(found.sources), "path": str(found.path)}
    except PrenormError as error:
        answer = {"code": int(error.exit_code), "sentence": describe(error)}
    except BaseException:
        answer = {"code": 70, "sentence": traceback.format_exc()}
    return {**answer, "warnings": told.told, "steps": told.steps, "missing": missing}


if __name__ == "__main__":
    import huggingface_hub

    print(huggingface_hub.__version__, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        with changed(asked.get("changed", {})):
            answered = read(asked)
        print(json.dumps(answered), flush=True)
