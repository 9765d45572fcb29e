"""fairseq's dictionary (`dict.txt`): which token each row of the embedding belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import UsageProblem

DICTIONARY_FILE = "dict.txt"
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")  # rows 0 to 3 of every fairseq dictionary
BOS, PAD, EOS, UNK = range(4)
MASK_TOKEN = "<mask>"  # the masked-LM tasks append it as the last row
_OVERWRITE = "#fairseq:overwrite"
MAX_DICTIONARY_BYTES = 256 << 20


@dataclass(frozen=True)
class Dictionary:
    """`symbols[i]` is the token of row i: the special tokens, the file's lines, `<mask>`."""

    path: Path
    symbols: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.symbols)


def find_dictionary(checkpoint: Path, given: Path | None) -> Path | None:
    """The dictionary to use: the one given, else `dict.txt` beside the checkpoint, if there is one."""
    beside = checkpoint.parent / DICTIONARY_FILE
    return given if given is not None else beside if beside.is_file() else None


def read_dictionary(path: Path) -> Dictionary:
    """Reads `dict.txt` with the meaning fairseq's `Dictionary.add_from_file` gives it.

    Raises:
        UsageProblem: if it cannot be read, a line is no `TOKEN COUNT`, or a token comes twice without the flag
            `#fairseq:overwrite`.
    """
    try:
        if path.stat().st_size > MAX_DICTIONARY_BYTES:
            raise UsageProblem(
                "is too large for a dictionary", subject=path, advice="Give fairseq's dict.txt with --dict"
            )
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UsageProblem(
            f"the dictionary cannot be read ({error.strerror})",
            subject=path,
            advice="Give fairseq's dict.txt with --dict",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageProblem(
            "the dictionary is not UTF-8 text", subject=path, advice="Give fairseq's dict.txt with --dict"
        ) from error
    if lines and not lines[-1]:
        lines.pop()
    symbols = list(SPECIAL_TOKENS)
    seen = set(symbols)
    for number, line in enumerate(lines, 1):
        token, overwrite = _parse(path, number, line)
        if token in seen and not overwrite:
            raise UsageProblem(
                f"line {number} of the dictionary repeats the token '{token}'; fairseq refuses that, too",
                subject=path,
                advice=f"Use the dict.txt of the training run, or mark the line with {_OVERWRITE}",
            )
        seen.add(token)
        symbols.append(token)
    if MASK_TOKEN not in seen:
        symbols.append(MASK_TOKEN)
    return Dictionary(path, tuple(symbols))


def _parse(path: Path, number: int, line: str) -> tuple[str, bool]:
    """Token and overwrite flag of one line."""
    text = line.rstrip()
    overwrite = text.endswith(" " + _OVERWRITE)
    token, space, count = text.removesuffix(" " + _OVERWRITE).rpartition(" ")
    if not space or not count.lstrip("+-").isdigit():
        raise UsageProblem(
            f"line {number} of the dictionary is not 'TOKEN COUNT': '{line[:60]}'",
            subject=path,
            advice="Give the dict.txt that fairseq-preprocess wrote",
        )
    return token, overwrite


def fill_up(dictionary: Dictionary, rows: int, multiple: int) -> Dictionary:
    """`dictionary` as fairseq fills it up for a model with `rows` rows: with names that no text has, behind the last one.

    One that would not come out at `rows` stays as it is, and does not fit.

    Args:
        multiple: what the number of rows is a multiple of (fairseq's `Dictionary.pad_to_multiple_`).
    """
    if rows % multiple or not len(dictionary) < rows < len(dictionary) + multiple:
        return dictionary
    symbols, known = list(dictionary.symbols), set(dictionary.symbols)
    number = 0
    while len(symbols) < rows:
        name = f"madeupword{number:04d}"
        if name not in known:  # fairseq-preprocess may have filled it up before
            symbols.append(name)
        number += 1
    return Dictionary(dictionary.path, tuple(symbols))


def check_rows(dictionary: Dictionary, rows: int) -> None:
    """Holds the dictionary against the embedding.

    Raises:
        UsageProblem: if the dictionary has not as many tokens as the embedding has rows; it says by how many.
    """
    difference = len(dictionary) - rows
    if difference:
        lines = len(dictionary) - len(SPECIAL_TOKENS) - 1
        word = "more" if difference > 0 else "fewer"
        raise UsageProblem(
            f"the dictionary does not fit the checkpoint: with 4 special tokens, {lines} lines and <mask> it has "
            f"{len(dictionary)} tokens, {abs(difference)} {word} than the embedding's {rows} rows",
            subject=dictionary.path,
            advice="Give the dict.txt of the training run with --dict",
        )


def read_labels(path: Path, count: int) -> tuple[str, ...]:
    """The names of `count` classes from fairseq's dictionary of labels: its lines, in their order.

    fairseq-preprocess fills the dictionary up with `madeupword` lines, which name no class.

    Raises:
        UsageProblem: if it cannot be read or has not as many labels as the head has outputs.
    """
    lines = read_dictionary(path).symbols[len(SPECIAL_TOKENS) :]
    labels = [symbol for symbol in lines if symbol != MASK_TOKEN]
    while len(labels) > count and labels[-1].startswith("madeupword"):
        labels.pop()
    if len(labels) != count:
        raise UsageProblem(
            f"the label dictionary has {len(labels)} labels, and the head has {count} outputs",
            subject=path,
            advice="Give the label/dict.txt of the training data with --label-dict",
        )
    return tuple(labels)
