"""fairseq's dictionary (`dict.txt`): which token each row of the embedding belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.files import readable
from prenorm.options.spoken import spoken

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


def read_dictionary(path: Path) -> Dictionary:
    """Read `dict.txt` with the meaning that fairseq's `Dictionary.add_from_file` gives it.

    Args:
        path: the file.

    Returns:
        The dictionary, special tokens and `<mask>` included.

    Raises:
        UsageProblem: if it cannot be read, a line is no `TOKEN COUNT`, or a token comes twice without the flag
            `#fairseq:overwrite`.
    """
    with readable(
        path,
        MAX_DICTIONARY_BYTES,
        "a dictionary",
        f"Give fairseq's dict.txt with {spoken('dictionary', ...)}",
        "the dictionary ",
    ):
        lines = path.read_text(encoding="utf-8").split("\n")
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
    """Return token and overwrite flag of one line."""
    text = line.rstrip()
    overwrite = text.endswith(" " + _OVERWRITE)
    token, space, count = text.removesuffix(" " + _OVERWRITE).rpartition(" ")
    if not space or not _is_integer(count):
        raise UsageProblem(
            f"line {number} of the dictionary is not 'TOKEN COUNT': '{line[:60]}'",
            subject=path,
            advice="Give the dict.txt that fairseq-preprocess wrote",
        )
    return token, overwrite


def _is_integer(count: str) -> bool:
    """Return whether fairseq's `int(count)` takes it."""
    try:
        int(count)
    except ValueError:
        return False
    return True


def refuse_overwritten_specials(dictionary: Dictionary, option: str) -> None:
    """Refuse to make a tokenizer of a dictionary that overwrites a special token, as CamemBERT's does.

    fairseq's training frames and pads with rows 0 to 3 (`Dictionary.bos()` and its siblings), its `encode` looks the names up
    and finds the last rows. `<mask>` has one row in both.

    Args:
        dictionary: fairseq's dictionary.
        option: the option that names the tokenizer.

    Raises:
        UsageProblem: if it does, naming the lines.
    """
    first = len(SPECIAL_TOKENS)
    lines = {
        row - first + 1: symbol
        for row, symbol in enumerate(dictionary.symbols)
        if row >= first and symbol in SPECIAL_TOKENS
    }
    if lines:
        overwrites = " and ".join(
            f"line {number} of the dictionary overwrites {name}" for number, name in lines.items()
        )
        raise UsageProblem(
            f"{overwrites}: fairseq trains with rows 0 to 3 as special tokens and encodes a text with the overwriting rows, "
            "so no tokenizer agrees with both",
            subject=dictionary.path,
            advice=f"Leave {option} out: the folder then has no tokenizer",
        )


def fill_up(dictionary: Dictionary, rows: int, multiple: int) -> Dictionary:
    """Fill up a dictionary as fairseq does (`Dictionary.pad_to_multiple_`): with names that no text has, behind the last one.

    Args:
        dictionary: the dictionary as it is in the file.
        rows: how many rows the model's embedding has.
        multiple: what the number of rows is a multiple of.

    Returns:
        The dictionary with `rows` tokens. One that would not come out at `rows` is returned as it is, and does not fit.
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
    """Compare the dictionary's size with the embedding's.

    Args:
        dictionary: the dictionary, filled up.
        rows: how many rows the model's embedding has.

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
            advice=f"Give the dict.txt of the training run with {spoken('dictionary', ...)}",
        )


def read_labels(path: Path, count: int) -> tuple[str, ...]:
    """Read the names of a head's classes from fairseq's dictionary of labels: its lines, in their order.

    fairseq-preprocess fills the dictionary up with `madeupword` lines, which name no class.

    Args:
        path: the dictionary of labels.
        count: how many outputs the head has.

    Returns:
        As many names.

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
            advice=f"Give the label/dict.txt of the training data with {spoken('label_dict', ...)}",
        )
    return tuple(labels)
