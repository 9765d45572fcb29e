"""Folders: loading and saving weights and configuration in Hugging Face's format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.config import RobertaPreLayerNormConfig

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

Model = TypeVar("Model", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """A module with a config that loads from, and saves to, a folder. Subclasses end `__init__` with `finish_init`."""

    base_prefix = ""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.config = config

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """Parameters that are another one's: alias -> the name under which it is saved."""
        return {}

    def finish_init(self) -> None:
        """Initializes the weights (unless they are on the meta device, to be loaded) and ties what is tied."""
        self.apply(self._initialize)
        self.tie_weights()

    def _initialize(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            if module.weight.is_meta:
                return
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
            elif module.padding_idx is not None:
                with torch.no_grad():
                    module.weight[module.padding_idx].zero_()

    def tie_weights(self) -> None:
        """Makes every alias of `tied_names` the very parameter it stands for."""
        for alias, name in self.tied_names(self.config).items():
            owner, _, leaf = alias.rpartition(".")
            setattr(self.get_submodule(owner), leaf, self.get_parameter(name))

    @classmethod
    def from_pretrained(cls: type[Model], folder: str | Path) -> Model:
        """Loads config and weights; the weights stay mapped from the file until they are used.

        Raises:
            ValueError: listing missing, unexpected and mismatched keys, if there are any.
        """
        config = RobertaPreLayerNormConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = cls(config)
        expected = model.saved_parameters()
        stored = dict(_stored_tensors(Path(folder)))
        problems = [f"missing: {name}, shape {list(expected[name].shape)}" for name in expected.keys() - stored.keys()]
        aliases = cls.tied_names(config)
        problems += [
            f"unexpected: {name}, shape {list(stored[name].shape)}"
            for name in stored.keys() - expected.keys() - aliases.keys()
        ]
        problems += [
            f"mismatched: {name} is {list(stored[name].shape)} in the file, {list(expected[name].shape)} in the model"
            for name in expected.keys() & stored.keys()
            if stored[name].shape != expected[name].shape
        ]
        if problems:
            raise ValueError(f"{folder} does not fit {cls.__name__}:\n  " + "\n  ".join(sorted(problems)))
        for name in expected:
            owner, _, leaf = name.rpartition(".")
            setattr(
                model.get_submodule(owner),
                leaf,
                nn.Parameter(stored[name], requires_grad=stored[name].is_floating_point()),
            )
        model.tie_weights()
        return model.eval()

    def saved_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by the name under which they are saved: aliases of tied ones left out."""
        aliases = self.tied_names(self.config)
        return {name: item for name, item in self.named_parameters(remove_duplicate=False) if name not in aliases}

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.json and model.safetensors into `folder`, which is made if it does not exist."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.config.extra["architectures"] = [type(self).__name__]
        self.config.save_pretrained(path)
        tensors = {name: item.detach().contiguous() for name, item in self.saved_parameters().items()}
        save_file(tensors, path / WEIGHTS_FILE, metadata={"format": "pt"})
        umask = os.umask(0)
        os.umask(umask)
        (path / WEIGHTS_FILE).chmod(0o666 & ~umask)  # safetensors 0.8 leaves 0600, which no web server can read


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in the index's order where there is one.

    Raises:
        ValueError: if the index names a file outside the folder.
    """
    index = folder / INDEX_FILE
    if not index.exists():
        return [folder / WEIGHTS_FILE]
    names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    if any(Path(name).name != name for name in names):
        raise ValueError(f"{index} names a file outside the folder")
    return [folder / name for name in names]


def _stored_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - safe_open is no dictionary
                yield name, file.get_tensor(name)
