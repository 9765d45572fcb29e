"""Checkpoints that would execute code when unpickled: they convert or are refused, and nothing runs."""

from __future__ import annotations

import builtins
import os
import pickle
import pickletools
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import save_edited
from helpers.commands import run_command
from helpers.paths import MLM
from prenorm.checkpoint import Risk
from prenorm.checkpoint.pickle.globals import classify
from prenorm.checkpoint.pickle.placeholders import GlobalName
from prenorm.parts import open_checkpoint


class Call:
    """Unpickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> Any:
        return self.function, self.args


def attacks(marker: Path) -> dict[str, Call]:
    code = f"open({str(marker)!r}, 'w').write('run')"
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "eval": Call(builtins.eval, code),
        "exec": Call(builtins.exec, code),
        "open": Call(open, str(marker), "w"),
        "subprocess": Call(subprocess.check_call, ["touch", str(marker)]),
        "import": Call(builtins.__import__, "antigravity"),
        "getattr": Call(getattr, Call(builtins.__import__, "os"), "system"),
        "nested pickle": Call(pickle.loads, pickle.dumps(Call(builtins.eval, code))),
        "torch.load": Call(torch.storage._load_from_bytes, b"\x80\x02."),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", list(attacks(Path("x"))))
@pytest.mark.parametrize("legacy", [False, True])
def test_a_call_is_never_made(name: str, legacy: bool, tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    def plant(content: dict[str, Any]) -> None:
        content["extra_state"]["payload"] = attacks(marker)[name]

    path = save_edited(tmp_path / "evil.pt", plant, _use_new_zipfile_serialization=not legacy)
    opened = open_checkpoint(path)
    assert any(item.risk is Risk.CODE and item.called for item in opened.globals)
    done = run_command("convert", path, tmp_path / "out")
    assert (done.returncode, marker.exists()) == (0, False), done.stderr
    assert "nothing was run" in done.stderr
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["model", "args", "whole"])
def test_a_call_in_place_of_what_is_needed_is_refused(where: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    attack = attacks(marker)["eval"]
    path = tmp_path / "evil.pt"
    if where == "whole":
        torch.save(attack, path)
    elif where == "model":
        save_edited(path, lambda content: content.update(model=attack))
    else:
        save_edited(path, lambda content: content.update(cfg=None, args=attack))
    done = run_command("convert", path, tmp_path / "out")
    assert done.returncode in (2, 4)
    assert not marker.exists()
    assert not (tmp_path / "out").exists()
    assert done.stderr.count("Error:") == 1
    assert "Traceback" not in done.stderr


def opcodes(marker: Path) -> dict[str, bytes]:
    """A call by every opcode that can make one."""
    command = f"touch {marker}".encode()
    text = b"X" + len(command).to_bytes(4, "little") + command
    short = b"\x8c" + bytes([len(command)]) + command
    return {
        "REDUCE": b"cos\nsystem\n" + text + b"\x85R",
        "STACK_GLOBAL": b"\x8c\x02os\x8c\x06system\x93" + short + b"\x85R",
        "INST": b"(" + text + b"ios\nsystem\n",
        "OBJ": b"(cos\nsystem\n" + text + b"o",
        "NEWOBJ": b"cos\nsystem\n" + text + b"\x85\x81",
        "NEWOBJ_EX": b"cos\nsystem\n" + text + b"\x85}\x92",
        "BUILD": b"cos\nsystem\n" + text + b"\x85R}X\x01\x00\x00\x00aK\x01sb",
        "EXT": b"\x82\x01" + text + b"\x85R",
        "called twice": b"cbuiltins\ngetattr\ncos\npath\nX\x06\x00\x00\x00system\x86R" + text + b"\x85R",
        "dotted": b"\x8c\x02os\x8c\x0epath.os.system\x93" + short + b"\x85R",
    }


@pytest.mark.parametrize("name", list(opcodes(Path("x"))))
def test_no_opcode_reaches_a_callable(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickled = b"\x80\x04}(\x8c\x07payload" + opcodes(marker)[name] + b"\x8c\x05modelNu."
    if name != "EXT":
        pickletools.dis(pickled, out=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - the attack itself is well-formed
    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    opened = open_checkpoint(path)
    assert "payload" in opened.content
    assert any(item.risk is Risk.CODE for item in opened.globals)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name", "risk"),
    [
        ("os", "system", Risk.CODE),
        ("posix", "system", Risk.CODE),
        ("builtins", "eval", Risk.CODE),
        ("__builtin__", "eval", Risk.CODE),
        ("torch.storage", "_load_from_bytes", Risk.CODE),
        ("torch", "load", Risk.CODE),
        ("functools", "partial", Risk.CODE),
        ("collections", "OrderedDict.fromkeys", Risk.CODE),
        ("my_lab.models", "Thing", Risk.CODE),
        ("omegaconf.dictconfig", "DictConfig", Risk.FOREIGN),
        ("fairseq.dataclass.configs", "FairseqConfig", Risk.FOREIGN),
        ("argparse", "Namespace", Risk.PLAIN),
        ("torch", "FloatStorage", Risk.PLAIN),
        ("torch", "bfloat16", Risk.PLAIN),
        ("torch", "hub", Risk.FOREIGN),
        ("numpy.core.multiarray", "scalar", Risk.PLAIN),
    ],
)
def test_globals_are_told_apart(module: str, name: str, risk: Risk) -> None:
    assert classify(GlobalName(module, name)) is risk


def test_inspect_marks_what_could_run_code(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "evil.pt", lambda content: content.update(x=Call(os.system, "true")))
    done = run_command("inspect", path)
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "none of them run; could run code: posix.system" in text
    assert re.search(r" note the checkpoint names posix.system, .* nothing was run", text)
    (row,) = (
        line for line in run_command("inspect", path, "--tensors").stdout.splitlines() if "│ posix.system" in line
    )
    assert "could run code" in row


def test_our_own_fixture_names_nothing_risky() -> None:
    assert {item.risk for item in open_checkpoint(MLM).globals} == {Risk.PLAIN}
