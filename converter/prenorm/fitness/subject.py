"""The folder under trial: what every check is handed.

The libraries never see the folder itself but a view of it, with the files that they read and nothing else. A folder of a
stranger may name code to run (`auto_map`, `modules.json`, an attention kernel to be fetched): the view leaves it out, and
`files.check_custom_code` reports it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prenorm.errors import UsageProblem
from prenorm.files import CONFIG_FILE, INDEX_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_SOURCES, TOKENIZER_SUPPLEMENTS
from prenorm.fitness.finding import NotRun
from prenorm.folder.published import Published
from prenorm.options import AUTO_CLASSES, TaskKind

# Keys of config.json and tokenizer_config.json that name code to be loaded from the folder or the Hub.
CODE_KEYS = ("auto_map", "custom_pipelines", "attn_implementation", "_attn_implementation", "experts_implementation")
_MOST_LEVELS = 3  # a config holds sub-configs at most this deep


@dataclass(frozen=True)
class Subject:
    """`place` is the folder as given (or as downloaded), `view` what the libraries are handed, `scratch` free for files."""

    published: Published
    place: Path
    view: Path
    scratch: Path

    @classmethod
    def of(cls, published: Published, scratch: Path) -> Subject:
        """Lays out the view."""
        home = published.source
        view, free = scratch / "view", scratch / "free"
        view.mkdir()
        free.mkdir()
        names = [*TOKENIZER_SOURCES, *TOKENIZER_SUPPLEMENTS]
        weights = [*published.path.glob("*.safetensors"), published.path / INDEX_FILE]
        for path in (*(home / name for name in names), *weights):
            if path.is_file():
                (view / path.name).symlink_to(path.resolve())
        for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
            content = read_json(home / name)
            if content is not None:
                (view / name).write_text(json.dumps(_without_code(content)), encoding="utf-8")
        return cls(published, home, view, free)

    @property
    def kind(self) -> TaskKind:
        """What the folder is for."""
        return self.published.kind

    @property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return self.published.config

    @cached_property
    def tokenizer(self) -> Any:
        """What `AutoTokenizer` makes of the folder.

        Raises:
            NotRun: if it has no tokenizer.
        """
        if not any((self.view / name).exists() for name in TOKENIZER_SOURCES):
            raise NotRun("the folder has no tokenizer")
        return library("transformers").AutoTokenizer.from_pretrained(str(self.view), **LOCAL)

    def load(self, auto_class: str | None = None, **options: Any) -> Any:
        """The model that an Auto class makes of the folder, in evaluation mode and float32; by default its task's."""
        model, _ = self.load_with_info(auto_class or AUTO_CLASSES[self.kind], dtype=torch.float32, **options)
        return model

    @cached_property
    def model(self) -> Any:
        """The task's model, for what only reads it."""
        return self.load()

    def load_with_info(self, auto_class: str, **options: Any) -> tuple[Any, dict[str, Any]]:
        """The model and transformers' own report on the keys."""
        made = getattr(library("transformers"), auto_class)
        model, info = made.from_pretrained(str(self.view), output_loading_info=True, **LOCAL, **options)
        return model.eval(), info

    def tensor(self, name: str) -> Tensor:
        """A tensor of the files."""
        with safe_open(self.published.tensors[name].file, framework="pt") as file:
            found: Tensor = file.get_tensor(name)
        return found

    def find(self, ending: str) -> Tensor | None:
        """The one tensor of the files whose name ends so, if there is one."""
        names = [name for name in self.published.tensors if name == ending or name.endswith(f".{ending}")]
        return self.tensor(names[0]) if len(names) == 1 else None

    def batch(self, length: int = 8, rows: int = 2) -> dict[str, Tensor]:
        """Token ids and mask, [rows, length], for multiple choice [rows, 2, length]; the last row of all is padded.

        Ids are spread over the vocabulary; `<s>` first and `</s>` last, as fairseq has them.
        """
        pad, low, high = self.number("pad_token_id"), 4, self.number("vocab_size")
        count = rows * 2 if self.kind is TaskKind.MULTIPLE_CHOICE else rows
        generator = torch.Generator().manual_seed(length)
        ids = torch.randint(low, high, (count, min(length, self.longest)), generator=generator)
        ids[ids == pad] = low + 1 if pad == low else low
        for column, key in ((0, "bos_token_id"), (-1, "eos_token_id")):
            if self.config.get(key) is not None:
                ids[:, column] = self.number(key)
        ids[-1, -2:] = pad
        mask = (ids != pad).long()
        mask[-1, :-2] = 1  # whatever pad_token_id is, the rest of the row is text
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.kind is TaskKind.MULTIPLE_CHOICE:
            return {name: item.view(rows, 2, -1) for name, item in batch.items()}
        return batch

    @property
    def longest(self) -> int:
        """The most tokens that the position table holds: it has rows for 0 to pad_token_id that no token uses."""
        return self.number("max_position_embeddings") - self.number("pad_token_id") - 1

    def number(self, key: str) -> int:
        """A number of config.json; where it has none, transformers' own."""
        value = self.config.get(key)
        return value if isinstance(value, int) else int(getattr(self.loaded_config, key))

    @cached_property
    def loaded_config(self) -> Any:
        """What `AutoConfig` makes of config.json."""
        return library("transformers").AutoConfig.from_pretrained(str(self.view), **LOCAL)


# Nothing is fetched and no code of the folder is run, whatever it says.
LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def outputs(model: nn.Module, batch: dict[str, Tensor], **options: Any) -> Tensor:
    """The model's first output: logits, or the last hidden state."""
    with torch.inference_mode():
        found: Tensor = model(**batch, **options)[0]
    return found


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None if there is no such file, or none in it."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _without_code(content: dict[str, Any], level: int = 0) -> dict[str, Any]:
    return {
        key: _without_code(value, level + 1) if isinstance(value, dict) and level < _MOST_LEVELS else value
        for key, value in content.items()
        if key not in CODE_KEYS
    }


def library(name: str) -> Any:
    """A package that the user may or may not have, imported when it is needed; its types are none of ours."""
    return import_module(name)


def require_transformers() -> None:
    """Raises UsageProblem unless transformers can be imported."""
    try:
        library("transformers")
    except ImportError as error:
        raise UsageProblem(
            "--folder-only needs transformers, which is not installed",
            advice='Install it with pip install "prenorm[fitness]"',
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the libraries' bars, notices and prints off the terminal: what matters of them is in the findings."""
    transformers = library("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            torch.random.fork_rng(devices=[]),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
