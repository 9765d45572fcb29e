"""`tf_model.h5`, the file of transformers 4's TensorFlow classes: its names, read with suspicion, and written.

A weight lies at `group/model/path/of/layers/kernel:0`, where the group is the model's part, and begins the path. Of several
shards each has the paths alone. Nothing but plain arrays of numbers that lie in the file itself is read: no attribute, no
link out of the file or to another name, nothing of variable length, nothing compressed, nothing that the file only claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from prenorm_model.fitting import Shape
from prenorm_model.naming import BASE_PREFIX

H5_FILE, H5_INDEX = "tf_model.h5", "tf_model.h5.index.json"

_MAX_DEPTH = 16  # the longest path of a real file has 12 parts
_MAX_OBJECTS = 100_000
_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "embeddings": "weight",
    "weight": "weight",
    "beta": "bias",
    "bias": "bias",
}
_KERAS_VERSION = b"2.15.0"  # the last one that transformers 4 was made for


class H5Weights(Mapping[str, np.ndarray]):
    """The weights of such files, by the names and in the shapes of PyTorch's state dict. Each access reads one anew.

    Args:
        paths: the file, or its shards.

    Raises:
        ValueError: naming the file and what in it is no plain array.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._places: dict[str, tuple[Path, str]] = {}
        self.shapes: dict[str, Shape] = {}
        for path in paths:
            self._add(path, is_shard=len(paths) > 1)

    def _add(self, path: Path, *, is_shard: bool) -> None:
        """Note where the weights of a file are."""
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{path} is no HDF5 file: {error}") from error
        with file:
            for place, data in _datasets(path, file):
                name = _name(path, place, is_shard=is_shard)
                # The group of a tied head repeats the embeddings.
                if name in self._places and not place.startswith(f"{BASE_PREFIX}/"):
                    continue
                self._places[name] = path, place
                self.shapes[name] = data.shape[::-1] if _is_kernel(place) else data.shape

    def __getitem__(self, name: str) -> np.ndarray:
        path, place = self._places[name]
        with h5py.File(path, "r") as file:
            weight: np.ndarray = file[place][()]
        return weight.T if _is_kernel(place) else weight

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def write_h5(weights: Mapping[str, np.ndarray], path: Path, class_name: str) -> None:
    """Write a file that transformers 4's class of the same name loads.

    Args:
        weights: the arrays, by the names and in the shapes of PyTorch's state dict of a model with a head, or of the headless
            one below `BASE_PREFIX`.
        path: the file.
        class_name: the model's class.
    """
    groups: dict[str, dict[str, np.ndarray]] = {}
    root = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", class_name)).lower()
    for name, weight in weights.items():
        group = name.partition(".")[0]
        place = _place(name, weight.ndim)
        groups.setdefault(group, {})[f"{root}/{place}"] = weight.T if _is_kernel(place) else weight
    # A head that is tied to the embeddings holds all of them, in the eyes of transformers.
    if "lm_head" in groups:
        tables = {place: item for place, item in groups[BASE_PREFIX].items() if "/embeddings/" in place}
        groups["lm_head"].update(tables)
        groups = {BASE_PREFIX: groups.pop(BASE_PREFIX), **groups}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [group.encode() for group in groups]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", _KERAS_VERSION
        for group, places in groups.items():
            inner = file.create_group(group)
            inner.attrs["weight_names"] = [place.encode() for place in places]
            for place, weight in places.items():
                repeated = f"{BASE_PREFIX}/{place}"
                # The same object under a second name takes no second room.
                inner[place] = file[repeated] if repeated in file else np.ascontiguousarray(weight)


def _datasets(path: Path, file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a file and their places, each checked against the file."""
    pending: list[tuple[str, Any]] = [("", file)]
    size, seen = path.stat().st_size, 0
    while pending:
        place, group = pending.pop()
        for key in group:
            inner = f"{place}/{key}".removeprefix("/")
            seen += 1
            if inner.count("/") >= _MAX_DEPTH or seen > _MAX_OBJECTS:
                raise ValueError(f"{path} nests deeper, or holds more, than any file of transformers: {inner}")
            if type(group.get(key, getlink=True)) is not h5py.HardLink:
                raise ValueError(f"{path}: {inner} is a link; only what lies in the file itself is read")
            item = group[key]
            if isinstance(item, h5py.Group):
                pending.append((inner, item))
            else:
                _check_dataset(path, inner, item, size)
                yield inner, item


def _check_dataset(path: Path, place: str, data: Any, size: int) -> None:
    """Check that an object is a plain array of numbers, all of which are in the file."""
    if not isinstance(data, h5py.Dataset) or data.dtype.kind != "f" or data.shape is None:
        raise ValueError(f"{path}: {place} is no array of floating-point numbers")
    filters = data.id.get_create_plist().get_nfilters()
    if data.is_virtual or data.external or filters:
        raise ValueError(f"{path}: {place} is compressed, or lies in another file; transformers writes neither")
    needed = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
    if needed > size or data.id.get_storage_size() < needed:
        raise ValueError(f"{path}: {place} claims {needed} bytes, which are not in the file")


def _is_kernel(place: str) -> bool:
    """Return whether what lies at a place is transposed, seen from PyTorch."""
    return place.endswith("/kernel:0")


def _name(path: Path, place: str, *, is_shard: bool) -> str:
    """Return the name of a weight in PyTorch's state dict."""
    parts = place.split("/")[0 if is_shard else 2 :]
    leaf = parts[-1].removesuffix(":0") if parts else ""
    if leaf not in _LEAVES or not place.endswith(":0"):
        raise ValueError(f"{path}: {place} is no place of a weight in a file of transformers")
    layers = [re.sub(r"^layer_\._(\d+)$", r"layer.\1", part) for part in parts[:-1]]
    return ".".join([*layers, _LEAVES[leaf]])


def _place(name: str, dimensions: int) -> str:
    """Return the place of a weight, without group and model."""
    *layers, leaf = name.split(".")
    inner = "/".join(layers).replace("encoder/layer/", "encoder/layer_._")
    if layers[-1] in ("LayerNorm", "layer_norm"):
        leaf = {"weight": "gamma", "bias": "beta"}[leaf]
    elif layers[-1] in ("token_type_embeddings", "position_embeddings"):
        leaf = "embeddings"
    elif leaf == "weight" and dimensions == 2 and layers[-1] != "word_embeddings":
        leaf = "kernel"
    return f"{inner}/{leaf}:0"
