"""Scripts in processes forked from one that has imported what they need, under whatever interpreter this runs.

Arguments: the number of our socket; names of modules to import, and lists of arguments to run here first, as JSON. A job is
a line of JSON on the socket, with four open files: stdin, stdout and stderr of the script, and one that gets its process
id, and later its exit code.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import traceback


def run_script(script, *arguments):
    """The script in this process, as `python SCRIPT` runs it; returns the exit code."""
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # what Python does with it at its end
        traceback.print_exc()
        return 1
    return 0


def warm_up(modules, commands):
    for module in modules:
        importlib.import_module(module)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # threads do not survive a fork
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for command in commands:
        assert run_script(*command) == 0, command
    sys.stdout.flush()
    os.dup2(output, 1)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # spares the forked processes the copying of every page that a collection would touch


def opened(number, stream, environment):
    """The stream as Python opens it at its start: what it is open on may be a terminal, a file or a pipe."""
    encoding, _, errors = environment.get("PYTHONIOENCODING", "").partition(":")
    return open(number, "w", encoding=encoding or stream.encoding, errors=errors or stream.errors, closefd=False)


def run(job, files):
    """One script to its end, in a forked process."""
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
        code = run_script(*job["command"])
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
    warm_up(*map(json.loads, sys.argv[2:]))
    serve(asked)
