"""A Hub on this machine, for the real huggingface_hub to talk to.

    with serve_hub(tmp_path / "state") as hub:
        hub.faults.add("commit", DropBeforeAnswer())
        ...                                   # a client with client_environment(hub, home)
        assert len(hub.commits("lab/model")) == 2 and not hub.faults.pending()

`hub.seed` puts files into a repo without a request; `hub.commits`, `hub.files`, `hub.pull_requests` and `hub.log` say
what came of it. The same folder again goes on where the last server ended.
"""

from .faults import (
    Delay,
    DropBeforeAnswer,
    DropBeforeBody,
    DropInAnswer,
    DropInBody,
    Garbage,
    Headers,
    Hold,
    NoRanges,
    Overtaken,
    Replaced,
    Resized,
    Status,
    WrongContent,
)
from .hub import Hub, Logged
from .rights import Token
from .server import READER, STRANGER, WRITER, client_environment, serve_hub

__all__ = [
    "READER",
    "STRANGER",
    "WRITER",
    "Delay",
    "DropBeforeAnswer",
    "DropBeforeBody",
    "DropInAnswer",
    "DropInBody",
    "Garbage",
    "Headers",
    "Hold",
    "Hub",
    "Logged",
    "NoRanges",
    "Overtaken",
    "Replaced",
    "Resized",
    "Status",
    "Token",
    "WrongContent",
    "client_environment",
    "serve_hub",
]
