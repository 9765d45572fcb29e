r"""Coverage-guided fuzzing of the reader, by hand; not part of the tests.

    python3.12 -m venv /tmp/atheris && /tmp/atheris/bin/pip install atheris
    PYTHONPATH=converter:model:tests /tmp/atheris/bin/python -m helpers.hostile.fuzz_atheris /tmp/corpus \
        -max_total_time=600 -max_len=20000 -timeout=5 -rss_limit_mb=1000

The first byte of an input chooses what the rest is: a whole file, a pickle in a zip with sound sums, or a legacy stream's
pickle. The corpus folder is filled with the small hostile files and a sound model when it is empty. A crash is any
exception but a `PrenormError`, a message that could act on a terminal, five seconds, or a gigabyte; libFuzzer then leaves
the input in the current folder. Needs neither torch nor any other package.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["prenorm"]):
    import prenorm.commands.inspect as inspection
    from prenorm.errors import PrenormError

from helpers.hostile.corpus import CONVERTED, REFUSED
from helpers.hostile.writing import Member, legacy_parts, members, sound, zip_file

LARGEST_SEED = 20_000
SOUND = members(sound())
PREAMBLE, VALUE, KEYS, BLOCKS = legacy_parts(sound())
MEMORY = Path("/dev/shm")
PATH = (MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())) / f"prenorm-fuzz-{os.getpid()}.pt"


def whole(choice: int, rest: bytes) -> bytes:
    """The file that an input stands for."""
    if choice % 3 == 0:
        return rest
    if choice % 3 == 1:
        return zip_file([Member(SOUND[0].name, rest), *SOUND[1:]])
    return PREAMBLE + rest + KEYS + b"".join(BLOCKS)


def examine(data: bytes) -> None:
    """One input: inspect it, and look at what is said."""
    if not data:
        return
    PATH.write_bytes(whole(data[0], data[1:]))
    try:
        found = inspection.inspect(PATH)
    except PrenormError as error:
        message = str(error)
    else:
        json.dumps(found.to_dict())
        message = found.refusal or ""
    finally:
        PATH.unlink()  # libFuzzer ends the process in its own way, which removes no folder
    assert all(line.isprintable() for line in message.split("\n")), repr(message)


def seed(folder: Path) -> None:
    """Fills an empty corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        return
    (folder / "sound-zip").write_bytes(b"\1" + SOUND[0].data)
    (folder / "sound-legacy").write_bytes(b"\2" + VALUE)
    for number, item in enumerate((*REFUSED.values(), *CONVERTED.values())):
        if not item.name.startswith(("bombs/", "counts/")):
            content = item.make()
            if isinstance(content, bytes) and len(content) < LARGEST_SEED:
                (folder / f"hostile-{number}").write_bytes(b"\0" + content)


if __name__ == "__main__":
    seed(Path(next(argument for argument in sys.argv[1:] if not argument.startswith("-"))))
    atheris.Setup(sys.argv, examine)
    atheris.Fuzz()
