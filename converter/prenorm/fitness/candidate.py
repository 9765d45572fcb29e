"""The folder under trial, which every check is given.

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
from torch import Tensor, nn

from prenorm.errors import UsageProblem
from prenorm.files import (
    CONFIG_FILE,
    INDEX_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_SOURCES,
    TOKENIZER_SUPPLEMENTS,
    json_object,
)
from prenorm.fitness.finding import NotRun
from prenorm.folder.published import Published, read_stored
from prenorm.options import AUTO_CLASSES, TaskKind
from prenorm.options.spoken import spoken

# Keys of config.json and tokenizer_config.json that name code to be loaded from the folder or the Hub.
CODE_KEYS = ("auto_map", "custom_pipelines", "attn_implementation", "_attn_implementation", "experts_implementation")
_MOST_LEVELS = 3  # a config holds sub-configs at most this deep


@dataclass(frozen=True)
class Candidate:
    """A folder under trial.

    Attributes:
        published: the folder.
        view: what the libraries are given.
        scratch: free for files that checks write.
    """

    published: Published
    view: Path
    scratch: Path

    @classmethod
    def of(cls, published: Published, scratch: Path) -> Candidate:
        """Lay out the view.

        Args:
            published: the opened folder.
            scratch: a folder for the view and for files that checks write.

        Returns:
            The folder under trial.
        """
        view, free = scratch / "view", scratch / "free"
        view.mkdir()
        free.mkdir()
        names = [*TOKENIZER_SOURCES, *TOKENIZER_SUPPLEMENTS]
        weights = [*published.path.glob("*.safetensors"), published.path / INDEX_FILE]
        for path in (*(published.source / name for name in names), *weights):
            if path.is_file():
                (view / path.name).symlink_to(path.resolve())
        for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
            content = json_object(published.source / name)
            if content is not None:
                (view / name).write_text(json.dumps(_without_code(content)), encoding="utf-8")
        return cls(published, view, free)

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
        """The tokenizer that `AutoTokenizer` makes of the folder.

        Returns:
            The tokenizer.

        Raises:
            NotRun: if it has no tokenizer.
        """
        if not any((self.view / name).exists() for name in TOKENIZER_SOURCES):
            raise NotRun("the folder has no tokenizer")
        return library("transformers").AutoTokenizer.from_pretrained(str(self.view), **LOCAL)

    def load(self, auto_class: str | None = None, **options: Any) -> Any:
        """Load the model in evaluation mode and float32.

        Args:
            auto_class: the name of a class of transformers; by default the one of the folder's task.
            **options: further arguments of `from_pretrained`.

        Returns:
            The model.
        """
        model, _ = self.load_with_info(auto_class or AUTO_CLASSES[self.kind], dtype=torch.float32, **options)
        return model

    @cached_property
    def model(self) -> Any:
        """The task's model, for what only reads it."""
        return self.load()

    def load_with_info(self, auto_class: str, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Load the model in evaluation mode.

        Args:
            auto_class: the name of a class of transformers.
            **options: further arguments of `from_pretrained`.

        Returns:
            The model, and transformers' own report on the keys.
        """
        made = getattr(library("transformers"), auto_class)
        model, info = made.from_pretrained(str(self.view), output_loading_info=True, **LOCAL, **options)
        return model.eval(), info

    def tensor(self, name: str) -> Tensor:
        """Read a tensor of the files.

        Args:
            name: its name there.

        Returns:
            The tensor, as stored.
        """
        return read_stored(self.published.tensors[name].file, name)

    def find(self, ending: str) -> Tensor | None:
        """Read the tensor of the files whose name has an ending.

        Args:
            ending: whole parts of a name, as in `word_embeddings.weight`.

        Returns:
            The tensor; None unless there is just one.
        """
        names = [name for name in self.published.tensors if name == ending or name.endswith(f".{ending}")]
        return self.tensor(names[0]) if len(names) == 1 else None

    def batch(self, length: int = 8, rows: int = 2) -> dict[str, Tensor]:
        """Make token ids, spread over the vocabulary, with `<s>` first and `</s>` last; the last row of all is padded.

        Args:
            length: tokens per row; at most as many as the model takes.
            rows: texts, or questions of two choices.

        Returns:
            `input_ids` and `attention_mask`, [rows, length]; for multiple choice [rows, 2, length].
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
        """The most tokens that the position table holds; no token uses its rows 0 to pad_token_id."""
        return self.number("max_position_embeddings") - self.number("pad_token_id") - 1

    def number(self, key: str) -> int:
        """Return a number of config.json; where it has none, transformers' default.

        Args:
            key: its name there.

        Returns:
            The number.
        """
        value = self.config.get(key)
        return value if isinstance(value, int) else int(getattr(self.loaded_config, key))

    @cached_property
    def loaded_config(self) -> Any:
        """What `AutoConfig` makes of config.json."""
        return library("transformers").AutoConfig.from_pretrained(str(self.view), **LOCAL)


# Nothing is fetched and no code of the folder is run, whatever it says.
LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def outputs(model: nn.Module, batch: dict[str, Tensor], **options: Any) -> Tensor:
    """Compute a model's first output: logits, or the last hidden state.

    Args:
        model: a model of transformers.
        batch: token ids and mask.
        **options: further arguments of the model's forward.

    Returns:
        The output, without gradients.
    """
    with torch.inference_mode():
        output: Tensor = model(**batch, **options)[0]
    return output


def _without_code(content: dict[str, Any], level: int = 0) -> dict[str, Any]:
    return {
        key: _without_code(value, level + 1) if isinstance(value, dict) and level < _MOST_LEVELS else value
        for key, value in content.items()
        if key not in CODE_KEYS
    }


def library(name: str) -> Any:
    """Import a package that the user may not have. Its types are not checked.

    Args:
        name: the package.

    Returns:
        The module.
    """
    return import_module(name)


def require_transformers() -> None:
    """Refuse to begin where transformers cannot be imported.

    Raises:
        UsageProblem: if it cannot.
    """
    try:
        library("transformers")
    except ImportError as error:
        raise UsageProblem(
            f"{spoken('folder_only')} needs transformers, which is not installed",
            advice='Install it, in the clone of prenorm: pip install ".[fitness]"',
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars, notices and prints of the libraries off the terminal: what matters of them is in the findings.

    Yields:
        None: while they are silenced.
    """
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
