"""Legacy streams that lie: header, storage list, storage blocks, and cuts between each of their parts."""

from __future__ import annotations

import struct

from .bombs import deep, laughs
from .payloads import SHELL
from .registry import Sparse, hostile, register
from .writing import (
    FALSE,
    LEGACY_MAGIC,
    NONE,
    SYSTEM,
    as_legacy,
    dense,
    legacy_parts,
    legacy_preamble,
    list_of,
    number,
    pickled,
    sound,
    text,
    tuple_of,
)

_HEADER = "its header is none"
_CUT = "the pickle inside cannot be read|would lie outside|truncated or damaged|not one that torch saved"


def _cuts() -> dict[str, int]:
    preamble, value, keys = (len(part) for part in legacy_parts(sound())[:3])
    value, keys = preamble + value, preamble + value + keys
    magic = len(pickled(b"\x8a\x0a" + bytes(10), 2))
    return {
        "in-magic": 9,
        "after-magic": magic,
        "after-protocol": magic + len(pickled(number(1001), 2)),
        "in-system": preamble - 10,
        "after-system": preamble,
        "in-pickle": preamble + 500,
        "before-stop": value - 1,
        "after-pickle": value,
        "in-keys": keys - 5,
        "after-keys": keys,
        "in-count": keys + 4,
        "after-count": keys + 8,
        "in-storage": keys + 100,
        "last-byte": len(as_legacy(sound())) - 1,
    }


for _name, _at in _cuts().items():
    register(f"legacies/cut-{_name}", lambda at=_at: as_legacy(sound())[:at], _CUT)  # type: ignore[misc]


def _preambled(**lies: object) -> bytes:
    """The sound model with another header."""
    _, value, keys, blocks = legacy_parts(sound())
    return legacy_preamble(**lies) + value + keys + b"".join(blocks)  # type: ignore[arg-type]


register("legacies/wrong-magic", lambda: _preambled(magic=LEGACY_MAGIC + 1), "a pickle, but not one that torch saved")
register("legacies/wrong-protocol", lambda: _preambled(protocol=1002), _HEADER)
register("legacies/big-endian", lambda: _preambled(system={**SYSTEM, "little_endian": FALSE}), "big-endian")
register("legacies/byte-order-missing", lambda: _preambled(system={}), "big-endian|byte order")
register("legacies/call-in-header", lambda: _preambled(system={**SYSTEM, "x": SHELL}), "its header names a class|" + _HEADER,
         attack=True)  # fmt: skip
register(
    "legacies/reference-in-header",
    lambda: _preambled(system={**SYSTEM, "x": tuple_of() + b"Q"}),
    "header refers to a storage",
)
register(
    "legacies/laughs-in-header", lambda: _preambled(system={**SYSTEM, "x": laughs("list")}), "no tokenizer", code=0
)
register(
    "legacies/operations-in-header",
    lambda: _preambled(system={**SYSTEM, "x": b"N0" * 900_000 + NONE}),
    "more than [0-9]+ operations",
)


def _listed(keys: bytes) -> bytes:
    """The sound model with another list of storages."""
    preamble, value, _, blocks = legacy_parts(sound())
    return preamble + value + pickled(keys, 2) + b"".join(blocks)


_KEYS = [text(key) for key in sound().storages]
register("legacies/keys-twice", lambda: _listed(list_of(*_KEYS, _KEYS[0])), "list of storages is damaged")
register("legacies/keys-missing", lambda: _listed(list_of(*_KEYS[:-1])), "is not in the file")
register(
    "legacies/keys-unknown", lambda: _listed(list_of(*_KEYS, text("more"))), "a storage 'more' that no tensor uses"
)
register("legacies/keys-no-list", lambda: _listed(NONE), "list of storages is damaged")
register("legacies/keys-are-numbers", lambda: _listed(list_of(number(0), number(1))), "list of storages is damaged")
register("legacies/keys-are-calls", lambda: _listed(list_of(SHELL)), "list of storages is damaged", attack=True)
register("legacies/keys-are-laughs", lambda: _listed(list_of(laughs("list"))), "list of storages is damaged")
register("legacies/keys-are-deep", lambda: _listed(list_of(deep("list", 9_000))), "list of storages is damaged")
register(
    "legacies/keys-in-another-order", lambda: _listed(list_of(*reversed(_KEYS))), "claims [0-9]+ elements, its block"
)
register(
    "legacies/keys-without-number",
    lambda: _listed(list_of(*(b"X\x01\0\0\0x" for _ in range(900_000)))),
    "operations|damaged",
)


def _block(count: int) -> bytes:
    """The sound model whose first storage says it has `count` elements."""
    *parts, blocks = legacy_parts(sound())
    return b"".join(parts) + struct.pack("<q", count) + b"".join(blocks)[8:]


for _count in (0, -1, 87, 1 << 62, -(1 << 63)):
    register(f"legacies/block-of-{_count}", lambda count=_count: _block(count), "claims 88 elements, its block")  # type: ignore[misc]


@hostile("claims 2000 elements, its block 2000, and the file ends")
def storage_past_the_end() -> bytes:
    preamble, value, keys, blocks = legacy_parts(sound(model={"x": dense("x", [2000])}))
    keys = pickled(list_of(*_KEYS, text("x")), 2)
    return preamble + value + keys + b"".join(blocks) + struct.pack("<q", 2000)


@hostile("the pickle inside cannot be read")
def hole_where_the_pickle_is() -> Sparse:
    """A header, and then gigabytes of zeros."""
    return Sparse(3 << 30, {0: legacy_preamble()})


@hostile("tar archive")
def tar_of_torch_0_1() -> bytes:
    head = bytearray(512)
    head[:8], head[257:262] = b"storages", b"ustar"
    return bytes(head) + bytes(1024)
