"""What a program writes to a terminal."""

from __future__ import annotations

import os


def written_to(leader: int) -> bytes:
    """All that is written to a pseudo-terminal until the programs that write there end; its leader is closed then."""
    written = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # the terminal is closed when the program ends
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    return written
