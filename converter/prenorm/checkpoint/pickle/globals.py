"""What the globals of a checkpoint would have done to somebody who unpickled it the usual way.

Nothing depends on this list for safety: no global is ever run (see `pickle_machine.py`). It is here to tell an auditor
what the file tries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from prenorm.checkpoint.pickle.placeholders import GlobalName


class Risk(str, Enum):
    """How `torch.load(weights_only=False)` would have treated a global."""

    PLAIN = "plain"  # part of any checkpoint
    FOREIGN = "foreign"  # a class of some package: importing it runs that package's code
    CODE = "could run code"  # reaches the interpreter, the shell, files or another pickle


@dataclass(frozen=True)
class NamedGlobal:
    """One global of the stream."""

    module: str
    name: str
    called: bool
    risk: Risk


_PLAIN_MODULES = {
    "argparse": {"Namespace"},
    "collections": {"OrderedDict", "defaultdict", "Counter", "deque"},
    "_codecs": {"encode"},
    "builtins": {"set", "frozenset", "list", "dict", "tuple", "int", "float", "str", "bool", "bytes", "complex",
                 "bytearray", "slice", "range", "object"},
    "copyreg": {"_reconstructor"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "enum": {"Enum"},
    "typing": {"Any", "Dict", "List", "Optional", "Union"},
    "numpy": {"dtype", "ndarray", "float64", "float32", "int64", "bool_"},
    "numpy.core.multiarray": {"scalar", "_reconstruct"},
    "numpy._core.multiarray": {"scalar", "_reconstruct"},
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter",
                     "_rebuild_parameter_with_state"},
    "torch.nn.parameter": {"Parameter"},
    "torch.storage": {"UntypedStorage"},
}  # fmt: skip
_FOREIGN_PACKAGES = {
    "omegaconf", "fairseq", "hydra", "numpy", "torch", "apex", "fairscale", "antlr4", "sacrebleu", "tokenizers",
}  # fmt: skip
# Parts of otherwise ordinary packages that load, compile or call what their arguments say.
_CODE_PARTS = {
    ("torch", "load"), ("torch.storage", "_load_from_bytes"),
    ("torch._utils", "_import_dotted_name"), ("torch.serialization", "load"),
    ("numpy", "load"), ("numpy", "loads"), ("numpy", "fromfile"), ("numpy.core.numeric", "loads"),
    ("omegaconf", "OmegaConf"), ("hydra.utils", "instantiate"), ("hydra.utils", "call"), ("hydra.utils", "get_class"),
}  # fmt: skip
_CODE_PREFIXES = (
    "torch.hub", "torch.jit", "torch.utils.cpp_extension", "torch.multiprocessing", "torch.distributed", "torch._dynamo",
    "torch._inductor", "torch.fx", "torch.package", "numpy.testing", "numpy.f2py", "numpy.distutils",
    "fairseq.file_utils", "fairseq.hub_utils",
)  # fmt: skip
# Letters of other alphabets, spaces and the like only make one name look like another; and what Python itself calls
# `__globals__` or `__builtins__` leads everywhere.
_ORDINARY_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_ORDINARY_NAME = re.compile(r"(?!__)[A-Za-z_]\w*", re.ASCII)


def classify(name: GlobalName) -> Risk:
    """Tell what unpickling a global in the usual way could lead to.

    Args:
        name: the global.

    Returns:
        The risk.
    """
    if name.module in ("__builtin__", "__builtins__"):
        return classify(GlobalName("builtins", name.name))
    if name.name in _PLAIN_MODULES.get(name.module, ()):
        return Risk.PLAIN
    if name.module == "torch" and (name.name.endswith("Storage") or name.name in ("Size", "device", "dtype")):
        return Risk.PLAIN
    if name.module == "torch" and name.name.lstrip("bfloatuincmpexq").isdigit():
        return Risk.PLAIN  # a type: torch.float16, torch.int64, ...
    package = name.module.partition(".")[0]
    if not _ORDINARY_MODULE.fullmatch(name.module) or not _ORDINARY_NAME.fullmatch(name.name):
        return Risk.CODE
    if (name.module, name.name) in _CODE_PARTS or name.module.startswith(_CODE_PREFIXES):
        return Risk.CODE
    # Everything of the standard library that is not listed above, and every package nobody here has heard of, can
    # reach the interpreter; only the packages that fairseq checkpoints are known to name get the milder word.
    return Risk.FOREIGN if package in _FOREIGN_PACKAGES else Risk.CODE


def describe_globals(called: dict[GlobalName, bool]) -> tuple[NamedGlobal, ...]:
    """Describe the globals of a stream for an auditor.

    Args:
        called: the globals, each with whether the stream calls it.

    Returns:
        The same, the riskiest first, each with what it could have done.
    """
    order = list(Risk)[::-1]
    named = [NamedGlobal(name.module, name.name, is_called, classify(name)) for name, is_called in called.items()]
    return tuple(sorted(named, key=lambda g: (order.index(g.risk), g.module, g.name)))
