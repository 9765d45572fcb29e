"""Pushes by the dozen, in whatever interpreter this runs: a process that has everything imported, and forks one for each.

A job is a line of JSON on stdin; what came of it is in the file that the job names when the job's number is on stdout.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path


class Warnings:
    """Keeps what a push tells while it goes on."""

    def __init__(self):
        self.told = []

    def stage(self, name, total):
        pass

    def advance(self, steps):
        pass

    def warn(self, text):
        self.told.append(text)


def push(job):
    """One push: its exit code, and all that the user would see of it."""
    from prenorm.errors import PrenormError, describe
    from prenorm.hub.push import push_folder as run
    from prenorm.hub.retries import RetryPolicy

    os.environ["HF_TOKEN"] = job["token"]
    watch = Warnings()
    try:
        policy = RetryPolicy(**job["policy"])
        result = run(
            job["folder"], job["repo"], policy=policy, progress=watch, endpoint=job["endpoint"], **job["options"]
        )
        answer = {"code": 0, "result": result.to_dict()}
    except PrenormError as error:
        answer = {"code": int(error.exit_code), "sentence": describe(error)}
    except BaseException:
        answer = {"code": 70, "sentence": traceback.format_exc()}
    return {**answer, "warnings": watch.told}


def serve():
    import huggingface_hub
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, _commit_api, lfs  # noqa: F401

    import prenorm.hub.push  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(huggingface_hub.__version__, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        if os.fork():
            continue
        code = 1
        try:
            Path(job["answer"]).write_text(json.dumps(push(job)))
            os.write(1, b"%d\n" % job["number"])
            code = 0
        finally:
            os._exit(code)


if __name__ == "__main__":
    serve()
