"""What `torch.load` makes of a damaged checkpoint, in a process of its own: the second opinion of the fuzz tests.

Line by line, a path on stdin and JSON on stdout: digests of the model's tensors and its plain arguments, or null where torch
cannot load the file. Damage could name any function, so only what sound checkpoints name can be imported.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

_ALLOWED = {
    ("collections", "OrderedDict"), ("argparse", "Namespace"), ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "FloatStorage"), ("torch", "HalfStorage"), ("torch", "DoubleStorage"), ("torch", "LongStorage"),
    ("torch", "IntStorage"), ("torch", "ByteStorage"), ("torch", "BoolStorage"),
}  # fmt: skip


class TorchReader:
    """The process, from the side of the test; it is started again where torch took it down."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> dict[str, Any] | None:
        """The digests and arguments; None where torch cannot load the file."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-I", str(Path(__file__))]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=600)


def digest(dtype: str, shape: tuple[int, ...], content: bytes) -> str:
    """One text for type, shape and bytes of a tensor."""
    return f"{dtype} {list(shape)} {hashlib.sha256(content).hexdigest()}"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def _serve() -> None:
    import torch

    torch.set_num_threads(1)
    restricted: Any = types.ModuleType("restricted")
    restricted.Unpickler = _Unpickler
    restricted.load = lambda file, **options: _Unpickler(file, **options).load()
    restricted.UnpicklingError = pickle.UnpicklingError
    for line in sys.stdin:
        try:
            answer = _digests(torch.load(line.rstrip("\n"), weights_only=False, pickle_module=restricted))
        except Exception:
            answer = None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _digests(content: Any) -> dict[str, Any]:
    tensors = {}
    for key, tensor in content["model"].items():
        raw = tensor.detach().contiguous().reshape(-1)
        data = raw.numpy().tobytes() if raw.numel() else b""
        tensors[key] = digest(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), data)
    config = content.get("cfg") or {}
    model = config.get("model") if isinstance(config, dict) else None
    arguments = model if model else content.get("args")
    plain = vars(arguments) if arguments is not None and not isinstance(arguments, dict) else arguments or {}
    return {
        "tensors": tensors,
        "arguments": {key: value for key, value in plain.items() if isinstance(value, (int, float, str, bool))},
    }


if __name__ == "__main__":
    _serve()
