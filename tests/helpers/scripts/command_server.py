"""The command line in processes forked from one that has everything imported, and has done everything once.

A job is a line of JSON on the socket that is our only argument, with four open files: stdin, stdout and stderr of the
command, and one that gets its process id, and later its exit code. Nothing of huggingface_hub is imported before the fork,
because it reads its settings as it is imported.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"


def run_main(arguments):
    """The command's own `main`, in this process; returns the exit code."""
    from prenorm.cli.main import main

    sys.argv = ["prenorm", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # what Python does with it at its end
        traceback.print_exc()
        return 1


def warm_up():
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    checkpoint, bpe = str(FIXTURES / "dinkytrain-mlm" / "checkpoint.pt"), str(FIXTURES / "gpt2_bpe")
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        for arguments in (
            ["convert", checkpoint, f"{folder}/out", "--bpe-dir", bpe],
            ["verify", checkpoint, f"{folder}/out", "--bpe-dir", bpe],
            ["inspect", checkpoint],
        ):
            assert run_main(arguments) == 0, arguments
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert "huggingface_hub" not in sys.modules
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # spares the forked processes the copying of every page that a collection would touch


def opened(number, stream, environment):
    """The stream as Python opens it at its start: what it is open on may be a terminal, a file or a pipe."""
    encoding, _, errors = environment.get("PYTHONIOENCODING", "").partition(":")
    return open(number, "w", encoding=encoding or stream.encoding, errors=errors or stream.errors, closefd=False)


def run(job, files):
    """One command to its end, in a forked process."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdout = opened(1, sys.stdout, job["environment"])
        sys.stderr = opened(2, sys.stderr, job["environment"])
        os.environ.clear()
        os.environ.update(job["environment"])
        os.chdir(job["folder"])
        if job["umask"] >= 0:
            os.umask(job["umask"])
        for name, value in job["changed"].items():
            module, _, attribute = name.rpartition(".")
            setattr(importlib.import_module(module), attribute, value)
        code = run_main(job["arguments"])
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve(jobs):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest
    signal.set_wakeup_fd(writer)
    running = {}
    while True:
        ready, _, _ = select.select([jobs, reader], [], [])
        if reader in ready:
            os.read(reader, 1024)
            for pid in list(running):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    tell = running.pop(pid)
                    os.write(tell, struct.pack("q", os.waitstatus_to_exitcode(status)))
                    os.close(tell)
        if jobs in ready:
            line, files, _, _ = socket.recv_fds(jobs, 1 << 20, 4)
            while line and not line.endswith(b"\n"):
                line += jobs.recv(1 << 20)
            if not line:
                return
            *streams, tell = files
            pid = os.fork()
            if pid == 0:
                run(json.loads(line), streams)
            for stream in streams:
                os.close(stream)
            os.write(tell, struct.pack("q", pid))
            running[pid] = tell


if __name__ == "__main__":
    asked = socket.socket(fileno=int(sys.argv[1]))
    warm_up()
    serve(asked)
