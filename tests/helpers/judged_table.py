"""What in a folder is judged by what, as a file: a planted fault per line, and what each way to judge makes of it.

`make tables` writes it; the tests compare with it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.paths import BPE, FIXTURES, TESTS
from prenorm import convert, record, verify
from prenorm.reports import ParityFailed
from prenorm.reports.model import Report

SOURCE = FIXTURES / "variants" / "activation-gelu" / "checkpoint.pt"  # dict.txt lies beside it
TABLE = TESTS / "proof" / "judged_table.md"
WAYS = ("convert", "verify", "verify --golden", "verify --folder-only")
# Of the trials of --folder-only those that are no training and no export.
HEAVY = (
    "AutoModelForPreTraining", "new heads", "longest text", "pipeline fill-mask", "pipeline feature-extraction",
    "fine-tuning", "Trainer", "save and reload", "ONNX", "sentence-transformers",
)  # fmt: skip
_HEAD = """# What in a folder is judged by what

Each fault was planted in a sound folder with a byte-level BPE: for `convert` between writing and proving, else in the
finished folder. `verify` had the checkpoint and the dict.txt beside it, and no option; the golden file was recorded with
`--bpe-dir`. A cell names the checks that failed, or the rows in which the report names what is at fault as not judged (those
in brackets do not count for the verdict). Empty: `convert` writes no such file. Written by `make tables`.

| part | fault | convert | verify | verify --golden | verify --folder-only |
|---|---|---|---|---|---|
"""

Plant = Callable[[Path], None]


@dataclass(frozen=True)
class Fault:
    """One fault: the file it is in, what it does, and whether `convert` writes that file before its proof."""

    file: str
    name: str
    plant: Plant
    written: bool = False


def edited(file: str, change: Callable[[dict[str, Any]], object]) -> Plant:
    """The content of a JSON file is changed."""

    def plant(folder: Path) -> None:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        change(content)
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return plant


def added(file: str, content: str | bytes | Mapping[str, object]) -> Plant:
    """There is a file more, or another one in its place."""

    def plant(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
        (folder / file).write_bytes(json.dumps(content).encode() if raw is None else raw)

    return plant


def swap_rows(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    one, other = [token for token, row in vocabulary.items() if row in (20, 21)]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]


def one_percent(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["roberta_prelayernorm.encoder.layer.1.output.dense.weight"][3, 5] *= 1.01
    save_file(tensors, path, {"format": "pt"})


Tensors = dict[str, torch.Tensor]
LAYER = "roberta_prelayernorm.encoder.layer."
KEY, QUERY, FC1 = "attention.self.key.weight", "attention.self.query.weight", "intermediate.dense.weight"


def retensored(change: Callable[[Tensors], Tensors]) -> Plant:
    """Some tensors are others; `change` gets all and returns those."""

    def plant(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        changed = {name: tensor.clone().contiguous() for name, tensor in change(tensors).items()}
        save_file({**tensors, **changed}, path, {"format": "pt"})

    return plant


def pickled(folder: Path) -> None:
    torch.save(
        {name: -tensor for name, tensor in load_file(folder / "model.safetensors").items()},
        folder / "pytorch_model.bin",
    )


def unlinked(file: str) -> Plant:
    return lambda folder: (folder / file).unlink()


T, C, W = "tokenizer.json", "tokenizer_config.json", "model.safetensors"
FAULTS = (
    Fault(W, "one weight changed by 1 %", one_percent, True),
    Fault(W, "another layer's", retensored(lambda t: {f"{LAYER}1.{KEY}": t[f"{LAYER}0.{KEY}"]}), True),
    Fault(W, "swapped", retensored(
        lambda t: {f"{LAYER}1.{KEY}": t[f"{LAYER}1.{QUERY}"], f"{LAYER}1.{QUERY}": t[f"{LAYER}1.{KEY}"]}), True),
    Fault(W, "transposed", retensored(lambda t: {f"{LAYER}1.{KEY}": t[f"{LAYER}1.{KEY}"].T}), True),
    Fault(W, "rolled", retensored(lambda t: {f"{LAYER}1.{FC1}": t[f"{LAYER}1.{FC1}"].roll(1, 0)}), True),
    Fault(W, "scaled", retensored(lambda t: {f"{LAYER}1.{FC1}": t[f"{LAYER}1.{FC1}"] * 0.125}), True),
    Fault("config.json", "layer_norm_eps 1e-12", edited("config.json", lambda c: c.update(layer_norm_eps=1e-12)), True),
    Fault("config.json", "dropout 0.9", edited("config.json", lambda c: c.update(hidden_dropout_prob=0.9)), True),
    Fault("config.json", "auto_map", edited("config.json", lambda c: c.update(auto_map={"AutoModel": "m.M"})), True),
    Fault(T, "no tokenizer", added(T, {"not": "a tokenizer"}), True),
    Fault(T, "two rows swapped", edited(T, swap_rows), True),
    Fault(T, "last 40 merges cut", edited(T, lambda c: c["model"].update(merges=c["model"]["merges"][:-40])), True),
    Fault(T, "a space before every text", edited(T, lambda c: c["pre_tokenizer"].update(add_prefix_space=True)), True),
    Fault(T, "no frame", edited(T, lambda c: c.update(post_processor=None)), True),
    Fault(T, "missing", unlinked(T), True),
    Fault(C, "cleans up spaces", edited(C, lambda c: c.update(clean_up_tokenization_spaces=True)), True),
    Fault(C, "another mask token", edited(C, lambda c: c.update(mask_token="<unk>")), True),
    Fault(C, "no JSON", added(C, "{"), True),
    Fault("special_tokens_map.json", "another mask token", added("special_tokens_map.json", {"mask_token": "<unk>"})),
    Fault("vocab.json", "another vocabulary", added("vocab.json", {"a": 0})),
    Fault("merges.txt", "other merges", added("merges.txt", "#version: 0.2\na b\n")),
    Fault("spiece.model", "any", added("spiece.model", b"any")),
    Fault("pytorch_model.bin", "all weights negated", pickled),
    Fault("tf_model.h5", "any", added("tf_model.h5", b"any")),
    Fault("onnx/model.onnx", "any", added("onnx/model.onnx", b"any")),
    Fault("original/model.pth", "any", added("original/model.pth", b"any")),
    Fault("adapter_config.json", "any", added("adapter_config.json", {"peft_type": "LORA"})),
    Fault("modeling_own.py", "any", added("modeling_own.py", "raise SystemExit\n")),
    Fault("README.md", "another text", added("README.md", "# Another model\n")),
    Fault("parity.png", "another picture", added("parity.png", b"\x89PNG")),
    Fault("parity_report.json", "another verdict", added("parity_report.json", {"passed": True, "verdict": "perfect"})),
    Fault("generation_config.json", "any", added("generation_config.json", {"max_length": 1})),
    Fault("notes.xyz", "any", added("notes.xyz", "any")),
)  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """A sound folder, and what was recorded of its checkpoint."""

    folder: Path
    golden: Path

    @classmethod
    def make(cls, scratch: Path) -> Sound:
        record(SOURCE, scratch / "golden.npz", bpe_dir=BPE)
        return cls(convert(SOURCE, scratch / "sound", bpe_dir=BPE).output, scratch / "golden.npz")


def cells_of(fault: Fault, sound: Sound, scratch: Path) -> list[str]:
    """What each way to judge makes of a fault."""
    folder = scratch / "folder"
    shutil.copytree(sound.folder, folder)
    fault.plant(folder)
    return [
        _cell(fault, converted(fault, scratch)) if fault.written else "",
        _cell(fault, verify(SOURCE, folder)),
        _cell(fault, verify(folder, golden=sound.golden)),
        _cell(fault, trial(folder)),
    ]


def trial(folder: Path) -> Report:
    """`verify --folder-only` without what takes long."""
    from prenorm import fitness

    with pytest.MonkeyPatch.context() as patch:
        real = fitness.judge_folder
        patch.setattr(fitness, "judge_folder", lambda published: real(published, without=HEAVY))
        return verify(folder, folder_only=True)


def converted(fault: Fault, scratch: Path) -> Report:
    """The report of `convert` with a fault planted between writing and proving."""
    from prenorm.commands import assemble

    real = assemble.write_folder

    def write(prepared: Any, staging: Path, **options: Any) -> None:
        real(prepared, staging, **options)
        fault.plant(staging)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "write_folder", write)
        try:
            return convert(SOURCE, scratch / "out", bpe_dir=BPE).report
        except ParityFailed as error:
            assert error.report is not None
            return error.report


def _cell(fault: Fault, report: Report) -> str:
    """The checks that failed, else the rows that name the fault as not judged, else the word that no line may have."""
    failed = [check.name for check in report.checks if check.is_made and not check.passed]
    if failed:
        assert not report.passed
        return ", ".join(failed)
    rows = [
        check for check in report.checks if check.counts is not None and _names(check.name, str(check.detail), fault)
    ]
    return "not judged: " + ", ".join(row.name if row.counts else f"({row.name})" for row in rows) if rows else "MISSED"


def _names(row: str, detail: str, fault: Fault) -> bool:
    if fault.name in detail or fault.file in detail:
        return True
    # What a trial cannot know: the values, and what the tokenizer must make of a text.
    return row == "parity" and fault.file in (W, T, C, "config.json")


def parse() -> dict[tuple[str, str], list[str]]:
    """The table's cells by file and fault."""
    found = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| part"):
            file, name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found[file, name] = cells
    return found


def main() -> None:
    """Plants every fault and writes what came of it."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        sound = Sound.make(Path(scratch))
        lines = []
        for number, fault in enumerate(FAULTS):
            (place := Path(scratch) / str(number)).mkdir()
            lines.append(f"| {' | '.join([fault.file, fault.name, *cells_of(fault, sound, place)])} |")
            print(lines[-1], flush=True)
    TABLE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
