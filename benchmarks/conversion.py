"""Measures `prenorm convert` beside a bare mapped copy of the weights, in one run, each in a process of its own.

    python benchmarks/conversion.py CHECKPOINT FOLDER [--repeat 3]

FOLDER is for the results and should be on the disk to be measured. Times are wall-clock; memory is the peak of resident
memory, and of what is not file-backed (RssAnon, sampled every 10 ms).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

COPY = """
import sys, time, torch
from safetensors.torch import save_file
start = time.perf_counter()
model = torch.load(sys.argv[1], mmap=True, weights_only=False)["model"]
model.pop("encoder.lm_head.weight")
save_file({key: tensor.contiguous() for key, tensor in model.items()}, sys.argv[2] + "/copy.safetensors")
print(time.perf_counter() - start)
"""
CONVERT = """
import json, sys
from prenorm import convert
print(json.dumps(convert(sys.argv[1], sys.argv[2] + "/converted").seconds))
"""
INSPECT = """
import sys, time
start = time.perf_counter()
from prenorm import inspect
inspect(sys.argv[1])
print(time.perf_counter() - start)
"""


def measure(script: str, checkpoint: Path, folder: Path) -> dict[str, object]:
    """Runs `script` in a new Python; returns what it printed, its wall time and its memory peaks in GB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(checkpoint), str(folder)], stdout=subprocess.PIPE, text=True
    )
    peaks = {"VmHWM": 0, "RssAnon": 0}

    def sample() -> None:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            for line in status.splitlines():
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(value.split()[0]))
            time.sleep(0.01)

    watcher = threading.Thread(target=sample)
    watcher.start()
    printed, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"the measured program failed with {process.returncode}")
    return {
        "printed": json.loads(printed),
        "wall": time.perf_counter() - start,
        "peak_gb": peaks["VmHWM"] / 1e6,
        "peak_anonymous_gb": peaks["RssAnon"] / 1e6,
    }


def main() -> None:
    """Runs the rounds, alternating, and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    rounds: dict[str, list[dict[str, object]]] = {"copy": [], "convert": [], "inspect": []}
    scripts = {"copy": COPY, "convert": CONVERT, "inspect": INSPECT}
    for _ in range(arguments.repeat):
        for name, script in scripts.items():
            shutil.rmtree(arguments.folder, ignore_errors=True)
            arguments.folder.mkdir(parents=True)
            os.sync()  # what the last round left to be written must not slow this one
            rounds[name].append(measure(script, arguments.checkpoint, arguments.folder))
            print(name, json.dumps(rounds[name][-1]), flush=True)
    shutil.rmtree(arguments.folder)

    def median(name: str, key: str) -> float:
        return statistics.median(float(str(found[key])) for found in rounds[name])

    stages = [dict(found["printed"]) for found in rounds["convert"]]  # type: ignore[call-overload]
    split = {stage: statistics.median(seconds[stage] for seconds in stages) for stage in stages[0]}
    copied = statistics.median(float(str(found["printed"])) for found in rounds["copy"])
    rest = sum(seconds for stage, seconds in split.items() if stage not in ("import", "prove"))
    stage_times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in split.items())
    for name in ("copy", "convert"):
        resident, private = median(name, "peak_gb"), median(name, "peak_anonymous_gb")
        print(f"{name}: {median(name, 'wall'):.1f} s in all, {resident:.2f} GB resident, {private:.2f} GB private")
    print(f"copy without import: {copied:.2f} s; convert: {stage_times}")
    print(f"all but import and proof / copy = {rest / copied:.2f}")
    print(f"inspect: {statistics.median(float(str(f['printed'])) for f in rounds['inspect']):.2f} s")


main()
