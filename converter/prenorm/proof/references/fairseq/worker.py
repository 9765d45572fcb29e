"""Runs under the interpreter that has fairseq: builds fairseq's own RoBERTa and answers with what it computes.

One file for Python 3.8 and later: the standard library, numpy, torch and fairseq, and nothing of prenorm. It unpickles
nothing: tensors come and go as safetensors files, everything else as lines of JSON. Requests come on stdin; answers leave on
the original stdout, each line behind a mark, while whatever fairseq prints goes to stderr.

    load  builds the model and fills it. Answers which source tensors matter, which classes were built, and the warnings.
    run   one batch. Answers once per stage, with a file of activations, and the noise of each.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import importlib
import json
import logging
import os
import queue
import re
import shutil
import struct
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

MARK = "@prenorm "
_HEADS = "classification_heads."
_LM_HEAD = "encoder.lm_head."
_TEACHER = "encoder._ema"
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
          "BOOL": "?"}  # fmt: skip
_NAMES = {torch.float64: "F64", torch.float32: "F32"}

if TYPE_CHECKING:  # Python 3.8 knows such types in annotations only
    Sink = Callable[[str, dict[str, torch.Tensor]], None]


class Refusal(Exception):
    """What fairseq cannot do with the request: the kind of fault, and the single problems."""

    def __init__(self, kind: str, message: str, problems: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.problems = problems or []


# -- files -------------------------------------------------------------------------------------------------------------


def read_tensors(path: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, as views of the mapped file; bfloat16 as float32, which holds all its values."""
    data = np.memmap(path, dtype=np.uint8, mode="c")
    length = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8 : 8 + length].tobytes().decode("utf-8"))
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        raw = data[8 + length + start : 8 + length + stop]
        if entry["dtype"] == "BF16":  # the upper half of a float32; numpy has no such type
            values = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = raw.view(_NUMPY[entry["dtype"]])
        found[name] = torch.from_numpy(np.asarray(values)).reshape(entry["shape"])
    return found


def write_tensors(path: str, tensors: dict[str, torch.Tensor]) -> None:
    """Writes float32 and float64 tensors as a safetensors file."""
    header, at = {}, 0
    for name, tensor in tensors.items():
        size = _bytes(tensor)
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    with Path(path).open("xb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().data)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


# -- the model ---------------------------------------------------------------------------------------------------------


class Model:
    """fairseq's RobertaModel, built as the request says and filled with its tensors.

    The request: `file` (the tensors, under the names that fairseq is to load), `arguments`, `vocab_size`, `pad`,
    `spectral_heads` ({name: [outputs, inner size]}), `lm_head` (whether the tensors have one), `lm_activation` (of the LM
    head, where it is not the encoder's), `teacher` (whether the file also had data2vec's), `logits` and `heads` (what `run`
    shall compute behind the encoder), `dtype`.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.source = read_tensors(request["file"])
        self.wide = any(tensor.dtype == torch.float64 for tensor in self.source.values())
        self.args = argparse.Namespace(**request["arguments"])
        self.model = self._build()
        self.encoder: Any = getattr(getattr(self.model, "encoder", None), "sentence_encoder", None)
        self.model.eval()
        self._check_order()
        self.origins: dict[str, str] = {}
        self.dtype = torch.float32
        if self.wide:
            self._become(torch.float64)
        else:
            self._fill()
        self.casts = False
        self.used = self._find_used()
        if not self.wide:  # never read again
            self.source.clear()

    def _build(self) -> Any:
        roberta = importlib.import_module("fairseq.models.roberta")
        utils = importlib.import_module("fairseq.utils")
        dictionary = self._dictionary()
        longest = self.args.max_positions
        task = types.SimpleNamespace(
            source_dictionary=dictionary, dictionary=dictionary, max_positions=lambda: longest, args=self.args
        )
        model = roberta.RobertaModel.build_model(self.args, task)
        model.args.load_checkpoint_heads = True
        for name, (outputs, inner) in self.request["spectral_heads"].items():
            model.args.spectral_norm_classification_head = True
            model.register_classification_head(name, num_classes=outputs, inner_dim=inner)
        model.args.spectral_norm_classification_head = False
        if self.request["lm_activation"] is not None:
            model.encoder.lm_head.activation_fn = utils.get_activation_fn(self.request["lm_activation"])
        return model

    def _dictionary(self) -> Any:
        """A dictionary of the right size: nothing but its length and the pad's id enters the model."""
        dictionary = importlib.import_module("fairseq.data").Dictionary()
        for number in range(self.request["vocab_size"] - len(dictionary)):
            dictionary.add_symbol(f"symbol{number}")
        dictionary.pad_index = self.request["pad"]
        if len(dictionary) != self.request["vocab_size"]:
            raise Refusal("build", f"fairseq's dictionary has at least {len(dictionary)} symbols")
        return dictionary

    def _check_order(self) -> None:
        """fairseq up to 0.10.2 takes `encoder_normalize_before`, and builds a post-LayerNorm RoBERTa all the same."""
        before = [getattr(layer, "normalize_before", False) for layer in getattr(self.encoder, "layers", [])]
        if not before or not all(before) or getattr(self.encoder, "layer_norm", None) is None:
            raise Refusal("version", "it builds no pre-LayerNorm RoBERTa (that came after 0.10.2)")

    def _fill(self) -> None:
        """Loads the tensors the way fairseq does: its own upgrade of old names, its own choice of layers, strictly.

        Of heads with spectral norm fairseq's upgrade expects an `out_proj.weight` that such heads do not have; they are
        loaded by themselves.
        """
        apart = tuple(_HEADS + name + "." for name in self.request["spectral_heads"])
        state: dict[str, Any] = {
            key: value for key, value in self.source.items() if not (apart and key.startswith(apart))
        }
        if self.request["teacher"]:
            state[_TEACHER] = {}  # what tells fairseq that this is data2vec's; the teacher itself is not needed
        if not self.request["lm_head"]:  # as fairseq does it for data2vec: the fresh head stays, and is never asked
            own = self.model.encoder.lm_head.state_dict()
            state.update({_LM_HEAD + key: value for key, value in own.items()})
        with _strictly(self._note):
            # A copy of the arguments: fairseq takes `encoder_layers_to_keep` out once it has chosen the layers.
            self.model.load_state_dict(state, strict=True, model_cfg=argparse.Namespace(**vars(self.args)))
            for name in self.request["spectral_heads"]:
                at = _HEADS + name + "."
                own = {key[len(at) :]: value for key, value in self.source.items() if key.startswith(at)}
                self.model.classification_heads[name].load_state_dict(own)

    def _note(self, module: Any, state: dict[str, Any]) -> None:
        """Notes which source tensor each name comes from: fairseq's upgrade renames and cuts, but does not copy."""
        at = next(name for name, found in self.model.named_modules() if found is module)
        places = sorted((tensor.data_ptr(), _bytes(tensor), name) for name, tensor in self.source.items())
        for key, value in state.items():
            place = value.data_ptr() if isinstance(value, torch.Tensor) else 0
            number = bisect.bisect_right(places, (place, float("inf"))) - 1
            if number >= 0 and place < places[number][0] + places[number][1]:
                self.origins[at + "." + key if at else key] = places[number][2]

    def _become(self, dtype: Any) -> None:
        """Turns the model to another type; what was stored in float64 is read anew, since float32 does not hold it."""
        if dtype == self.dtype:
            return
        self.model.to(dtype)
        self.dtype = dtype
        if self.wide and dtype == torch.float64:
            self._fill()

    def _find_used(self) -> list[str]:
        """The source tensors that the outputs depend on, found in the graph that torch keeps of a forward of two tokens."""
        words = [id_ for id_ in range(3) if id_ != self.request["pad"]][:2]
        leaves: dict[int, list[str]] = {}
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            if tensor.is_floating_point():
                leaves.setdefault(id(tensor), []).append(name)
                tensor.requires_grad_(True)
        outputs: list[torch.Tensor] = []
        casts: list[bool] = []

        def cast(tensor: torch.Tensor) -> torch.Tensor:
            casts.append(True)
            return tensor.to(torch.float32)

        with torch.enable_grad(), _casts_replaced(cast):
            self._forward(torch.tensor([words]), lambda name, parts: outputs.extend(parts.values()))
        self.casts = bool(casts)
        reached = {name for leaf in _leaves(outputs) for name in leaves.get(leaf, [])}
        if not self.request["logits"]:  # the head's matrix is the embedding, which the encoder reaches
            reached = {name for name in reached if not name.startswith(_LM_HEAD)}
        for tensor in self.model.state_dict(keep_vars=True).values():
            tensor.requires_grad_(False)
        return sorted({self.origins[name] for name in reached if name in self.origins})

    # -- running -------------------------------------------------------------------------------------------------------

    def run(self, ids: torch.Tensor, folder: Path, on_stage: Callable[[dict[str, Any]], None]) -> None:
        """One batch in every way that is asked for; the last is the one that is answered.

        With `dtype` float64 it is computed three times: in float32; in float64 with fairseq's own casts to float32 (there is
        one in its GELU) lifted; and in float64 as it is. The differences to the last are the noise: what float32 costs, and
        what fairseq's casts cost.
        """
        others: dict[str, Path] = {}
        if self.request["dtype"] == "float64":
            self._become(torch.float32)
            others["float32"] = folder / "float32"
            self._write(ids, others["float32"])
            self._become(torch.float64)
            if self.casts:
                others["rounding"] = folder / "lifted"
                with _casts_replaced(lambda tensor: tensor.double()):
                    self._write(ids, others["rounding"])
        real = ids != self.request["pad"]
        number = 0

        def answer(name: str, parts: dict[str, torch.Tensor]) -> None:
            nonlocal number
            path = folder / f"{number}.safetensors"
            write_tensors(str(path), parts)
            noise = _noise(parts, real, {kind: place / str(number) for kind, place in others.items()})
            on_stage({"stage": name, "file": path.name, "noise": noise})
            number += 1

        with torch.no_grad():
            self._forward(ids, answer)

    def _write(self, ids: torch.Tensor, folder: Path) -> None:
        """A forward whose stages go to numbered files."""
        folder.mkdir()
        paths = (str(folder / str(number)) for number in range(1 << 30))
        with torch.no_grad():
            self._forward(ids, lambda name, parts: write_tensors(next(paths), parts))

    def _forward(self, ids: torch.Tensor, sink: Sink) -> None:
        """fairseq's forward; `sink` gets every stage as it is computed, its parts [batch, length, width].

        The query, key and value projections of each layer are computed by fairseq's modules from what its attention is
        given: inside, it hands their weights to torch's fused function.
        """
        with contextlib.ExitStack() as hooks:
            self._hook(hooks, sink)
            features = self.model(ids, features_only=True)[0]
            if self.request["logits"]:
                words = ids != self.request["pad"]
                sink("logits", {"out": self.model.encoder.output_layer(features, masked_tokens=words)})
            for name in self.request["heads"]:
                self._head(name, features, sink)

    def _head(self, name: str, features: torch.Tensor, sink: Sink) -> None:
        head = self.model.classification_heads[name]
        seen: dict[str, torch.Tensor] = {}
        handle = head.dense.register_forward_hook(lambda module, given, made: seen.update(dense=made))
        try:
            seen["out"] = head(features)
        finally:
            handle.remove()
        sink("head." + name, seen)

    def _hook(self, hooks: contextlib.ExitStack, sink: Sink) -> None:
        def on(module: Any, act: Callable[[Any], None]) -> None:
            handle = module.register_forward_hook(lambda module, given, made: act(made))
            hooks.callback(handle.remove)

        first = self.encoder.layers[0].register_forward_pre_hook(
            lambda module, given: sink("embeddings", {"out": _rows(given[0])})
        )
        hooks.callback(first.remove)
        for number, layer in enumerate(self.encoder.layers):
            _hook_layer(number, layer, on, sink)
        on(self.encoder.layer_norm, lambda made: sink("layer_norm", {"out": _rows(made)}))


def _hook_layer(number: int, layer: Any, on: Callable[[Any, Callable[[Any], None]], None], sink: Sink) -> None:
    seen: dict[str, torch.Tensor] = {}
    attention = layer.self_attn

    def normed(made: torch.Tensor) -> None:
        for part in ("q_proj", "k_proj", "v_proj"):
            seen[part] = _rows(getattr(attention, part)(made))

    def done(made: Any) -> None:
        seen["out"] = _rows(made[0] if isinstance(made, tuple) else made)
        if len(seen) != 7:
            raise Refusal("run", f"layer {number} computes with a fused kernel, not with its own modules")
        sink(f"layers.{number}", dict(seen))
        seen.clear()

    on(layer.self_attn_layer_norm, normed)
    on(attention, lambda made: seen.update(out_proj=_rows(made[0])))
    on(layer.fc1, lambda made: seen.update(fc1=_rows(made)))
    on(layer.fc2, lambda made: seen.update(fc2=_rows(made)))
    on(layer, done)


def _rows(made: torch.Tensor) -> torch.Tensor:
    """[length, batch, width], as fairseq's encoder computes, to [batch, length, width]."""
    return made.transpose(0, 1)


def _noise(parts: dict[str, torch.Tensor], real: torch.Tensor, others: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Each part's largest absolute value, and its largest difference to what the files of `others` hold; pads left out."""

    def words(values: torch.Tensor) -> torch.Tensor:
        return (values[real] if values.dim() == 3 else values).double()

    found = {part: {"scale": _largest(words(values))} for part, values in parts.items()}
    for kind, path in others.items():
        there = read_tensors(str(path))
        for part, values in parts.items():
            found[part][kind] = _largest(words(there[part]) - words(values))
        path.unlink()
    return found


def _largest(values: torch.Tensor) -> float:
    values = values[torch.isfinite(values)].abs()
    return float(values.max()) if values.numel() else 0.0


def _leaves(outputs: list[torch.Tensor]) -> Iterator[int]:
    """The ids of the tensors that the graph behind `outputs` ends in."""
    left = [tensor.grad_fn for tensor in outputs]
    seen = set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield id(node.variable)
        left.extend(following for following, _ in node.next_functions)


@contextlib.contextmanager
def _strictly(note: Callable[[Any, dict[str, Any]], None]) -> Iterator[None]:
    """Lets torch's strict loading raise its complaints as lists, and `note` see what it is given."""
    original = torch.nn.Module.load_state_dict

    def load(module: Any, state: dict[str, Any], *given: Any, **named: Any) -> Any:
        note(module, state)
        result = original(module, state, strict=False)
        problems = [f"missing: '{key}'" for key in result.missing_keys]
        problems += [f"unexpected: '{key}'" for key in result.unexpected_keys]
        if problems:
            raise Refusal("tensors", "its model has other tensors than the checkpoint", problems)
        return result

    torch.nn.Module.load_state_dict = load  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        torch.nn.Module.load_state_dict = original  # type: ignore[method-assign]


@contextlib.contextmanager
def _casts_replaced(cast: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Makes `Tensor.float`, with which fairseq casts to float32, another function."""
    original = torch.Tensor.float
    torch.Tensor.float = lambda tensor, *given, **named: cast(tensor)  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.float = original  # type: ignore[method-assign]


# -- requests ----------------------------------------------------------------------------------------------------------


class _Warnings(logging.Handler):
    """Keeps the first warnings that fairseq logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.texts) < 20:
            self.texts.append(record.getMessage()[:300])


def _environment() -> dict[str, str]:
    fairseq = importlib.import_module("fairseq")
    importlib.import_module("fairseq.models.roberta")
    version = re.sub(r"\s+", " ", str(getattr(fairseq, "__version__", "of unknown version")))
    return {
        "python": sys.version.split()[0],
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "fairseq": version,
    }


def _load(request: dict[str, Any], warnings: _Warnings) -> tuple[Model, dict[str, Any]]:
    warnings.texts.clear()
    model = Model(request)
    layer = model.encoder.layers[0]
    built = (model.model, model.model.encoder, model.encoder, layer, layer.self_attn)
    classes = [f"{type(part).__module__}.{type(part).__name__}" for part in built]
    return model, {"used": model.used, "classes": classes, "casts": model.casts, "warnings": list(warnings.texts)}


def _answer(
    request: dict[str, Any], model: Model | None, warnings: _Warnings, say: Callable[[Any], None]
) -> Model | None:
    """Answers one request; returns the model that the next one meets."""
    try:
        if request["do"] == "load":
            model = None  # the one before leaves memory first
            model, done = _load(request, warnings)
        elif request["do"] == "run" and model is not None:
            model.run(torch.tensor(request["input_ids"], dtype=torch.long), Path(request["folder"]), say)
            done = {}
        else:
            raise Refusal("request", "there is no such request, or no model yet")
        say({"done": done})
    except Refusal as refusal:
        say({"error": refusal.kind, "message": str(refusal), "problems": refusal.problems[:50]})
    except Exception as error:
        say({"error": "fairseq", "message": f"{type(error).__name__}: {str(error)[:1000]}", "problems": []})
    return model


def _requests() -> Iterator[dict[str, Any]]:
    """The requests; when they end, so does this process, in the middle of its work if need be.

    They end because prenorm is gone. It may have been killed, and then nobody else removes the files.
    """
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        folder = Path(__file__).resolve().parent
        if folder.name.startswith("prenorm-fairseq-"):  # where this script was copied to, with the files
            shutil.rmtree(str(folder), ignore_errors=True)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def main() -> None:
    """Answers requests until stdin ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(content: Any) -> None:
        channel.write(MARK + json.dumps(content) + "\n")
        channel.flush()

    warnings, requests = _Warnings(), _requests()
    try:
        found = _environment()
    except Exception as error:
        say({"error": "import", "message": f"{type(error).__name__}: {str(error)[:500]}", "problems": []})
        next(requests)
        return
    logging.getLogger().addHandler(warnings)
    say({"done": found})
    model = None
    for request in requests:
        model = _answer(request, model, warnings, say)


if __name__ == "__main__":
    main()
