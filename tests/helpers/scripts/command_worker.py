"""The command line in processes forked from one that has torch imported, but not huggingface_hub, which reads its settings
as it is imported. A job is a line of JSON on stdin; its number is on stdout when its answer is in the file that it names.
"""

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path


def run(job):
    """One command, to its end, in this process."""
    for number, path in ((1, job["stdout"]), (2, job["stderr"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(job["environment"])
    sys.argv = ["prenorm", *job["arguments"]]
    os.chdir(job["folder"])
    for name, value in job["changed"].items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    from prenorm.cli import main as cli

    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    return 70


def serve():
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    assert "huggingface_hub" not in sys.modules and threading.active_count() == 1
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        if os.fork():
            continue
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = run(job)
            sys.stdout.flush()
            sys.stderr.flush()
            Path(job["answer"]).write_text(json.dumps({"code": code}))
            os.write(out, b"%d\n" % job["number"])
        finally:
            os._exit(0)


if __name__ == "__main__":
    serve()
