"""The options that several commands share, by what they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from prenorm.options import ACTIVATIONS, AUTO, REFERENCES, TASKS, WEIGHTS

_F = TypeVar("_F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


def place(value: str) -> str | Path:
    """A path here, or a place on the Hub, which stays as it was written."""
    return value if value.startswith("hf://") else Path(value)


def _options(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Several options as one decorator."""

    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


source_options = _options(
    click.option(
        "--dict", "dictionary", type=PATH, help="fairseq's dictionary.  [default: dict.txt beside CHECKPOINT]"
    ),
    click.option(
        "--bpe-dir", type=PATH, help="Folder with GPT-2's encoder.json and vocab.bpe.  [default: no tokenizer]"
    ),
    click.option("--sentencepiece", type=PATH, help="Instead: a sentencepiece model.  [default: no tokenizer]"),
    click.option("--words", is_flag=True, help="Instead: the dictionary holds words.  [default: no tokenizer]"),
    click.option(
        "--label-dict", type=PATH, help="fairseq's dictionary of labels (label/dict.txt).  [default: LABEL_0 ...]"
    ),
    click.option(
        "--task",
        type=click.Choice(TASKS),
        default=AUTO,
        show_default=True,
        help="What the folder is for; auto: what the checkpoint was trained for.",
    ),
    click.option("--head", metavar="NAME", help="Which classification head.  [default: the only one]"),
    click.option(
        "--weights",
        type=click.Choice(WEIGHTS),
        default="model",
        show_default=True,
        help="ema: the moving average that --store-ema keeps.",
    ),
    click.option(
        "--activation",
        type=click.Choice(tuple(ACTIVATIONS)),
        help="Of DinkyTrain's DeepSpeed kernels (gelu, gelu_new), or if none is recorded.  [default: as recorded]",
    ),
    click.option(
        "--attention-heads", type=click.IntRange(1), help="If the checkpoint records none.  [default: as recorded]"
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document.  [default: off]"),
)


report_option = click.option(
    "--report",
    "reports",
    type=PATH,
    multiple=True,
    help="Also write the report here, pass or fail. The suffix picks the form: .json .md .html .xml.",
)


proof_options = _options(
    click.option(
        "--reference", type=click.Choice(REFERENCES), default="builtin", show_default=True,
        help="What computes CHECKPOINT: built-in code, or fairseq itself.",
    ),
    click.option(
        "--fairseq-python", type=PATH, metavar="PYTHON", help="A Python that has fairseq.  [default: none]"
    ),
)  # fmt: skip


publication_options = _options(
    click.option("--private", is_flag=True, help="Create the repo as a private one.  [default: off]"),
    click.option("--pull-request", is_flag=True, help="Open a pull request instead of committing.  [default: off]"),
    click.option(
        "--retries", type=click.IntRange(0, 20), default=4, show_default=True,
        help="How often one request is repeated that failed for a reason that passes.",
    ),
    click.option(
        "--timeout", type=click.FloatRange(0.1), default=120.0, show_default=True,
        help="Seconds that the Hub may be silent in the middle of a request.",
    ),
)  # fmt: skip


card_options = _options(
    click.option(
        "--card", type=PATH, metavar="FILE",
        help="Markdown of your own for the model card; its front matter goes before ours.  [default: none]",
    ),
    click.option("--license", metavar="ID", help="The Hub's identifier of the licence, for the card.  [default: none]"),
    click.option(
        "--language", metavar="CODE", multiple=True, help="ISO 639 code, for the card; may repeat.  [default: none]"
    ),
    click.option("--base-model", metavar="REPO_ID", help="What it was trained from, for the card.  [default: none]"),
)  # fmt: skip
