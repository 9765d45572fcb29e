"""All that is measured of the Keras and Flax models, by one command: speed beside transformers 4.57, and memory of loading.

    PYTHONPATH=model .venv-transformers-4.57/bin/python benchmarks/frameworks.py [--rounds 5] [--layers 12]

Each part is a process of its own, since TensorFlow and JAX would share their threads; within a part both sides have the same
weights, inputs and threads, and take turns.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

PARTS = ("keras_against_transformers.py", "flax_against_transformers.py", "loading_memory.py")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12, help="of the models that are timed")
    arguments = parser.parse_args()
    for part in PARTS:
        print(f"\n{part}", flush=True)
        timed = ["--rounds", str(arguments.rounds), "--layers", str(arguments.layers)] if "against" in part else []
        environment = {**os.environ, "USE_FLAX": "1", "USE_TF": "1"}
        subprocess.run([sys.executable, Path(__file__).parent / part, *timed], check=True, env=environment)


if __name__ == "__main__":
    main()
