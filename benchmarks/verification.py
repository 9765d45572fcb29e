"""What `verify` costs beside two bare forward passes of the same probe in float64: time, and private memory at its peak.

python benchmarks/verification.py CHECKPOINT FOLDER [--rounds 3]      (make_checkpoint.py makes one; convert it first)
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

_BARE = """
import sys, time, torch
from prenorm.proof.probe import build_probe
from prenorm_model import RobertaPreLayerNormForMaskedLM
model = RobertaPreLayerNormForMaskedLM.from_pretrained(sys.argv[1], dtype=torch.float64)
probe = build_probe(model.config.vocab_size, model.config.max_position_embeddings)
with torch.inference_mode():
    start = time.perf_counter()
    for _ in range(2):
        for batch in probe:
            model(batch, attention_mask=(batch != 1).long())
    print(time.perf_counter() - start)
"""
_VERIFY = """
import sys, time
start = time.perf_counter()
from prenorm import verify
report = verify(sys.argv[2], sys.argv[1])
assert report.passed
print(time.perf_counter() - start)
"""


def run(code: str, *arguments: Path) -> tuple[float, float]:
    """Seconds that the code printed, and the largest private (not file-backed) memory of its process, in GB."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            break
        peak = max([peak, *(int(line.split()[1]) / 1e6 for line in lines if line.startswith("RssAnon"))])
        time.sleep(0.05)
    assert process.stdout is not None
    return float(process.stdout.read()), peak


def main() -> None:
    """Alternates the two and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"two bare forwards": [], "verify": []}
    for _ in range(given.rounds):
        found["two bare forwards"].append(run(_BARE, given.folder))
        found["verify"].append(run(_VERIFY, given.folder, given.checkpoint))
    for name, results in found.items():
        seconds, memory = (statistics.median(part) for part in zip(*results, strict=True))
        print(f"{name:20} {seconds:6.1f} s   {memory:.2f} GB private")
    ratios = [ours[0] / bare[0] for ours, bare in zip(found["verify"], found["two bare forwards"], strict=True)]
    print(f"ratio of times       {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
