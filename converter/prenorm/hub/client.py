"""The HTTP client beneath huggingface_hub, set up to have a timeout, and to repeat nothing without a message.

Uploads are repeated by huggingface_hub itself, silently, for up to six timeouts in a row, and for as long as a server asks
in Retry-After. In a push every failure reaches `Requests` at once, which says what it waits for, and for how long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prenorm.errors import HubProblem

# The HTTP statuses after which huggingface_hub repeats a request by itself.
_REPEATED = frozenset({429, 500, 502, 503, 504})


class Unanswered(Exception):
    """A request without an answer; the HTTP library's own error is its cause.

    Attributes:
        path: the path of the request's address, which holds no secrets.
    """

    def __init__(self, path: str) -> None:
        """Keep the path.

        Args:
            path: the path of the request's address.
        """
        self.path = path
        super().__init__("no answer")


def prepare_client(timeout: float, *, repeats: bool) -> None:
    """Give every client that huggingface_hub makes from now on a timeout, and silence its own messages about retries.

    Without that it would wait for ever. What matters of its messages is in the warnings and errors of `Requests`.

    Args:
        timeout: seconds that the server may be silent.
        repeats: whether huggingface_hub repeats requests by itself, which resumed downloads need.
    """
    import huggingface_hub
    from huggingface_hub import logging, utils
    from huggingface_hub.utils import _http

    def make() -> Any:
        client: Any = _http.default_client_factory()
        client.timeout = timeout
        if not repeats:
            client.send = _at_once(client.send)
        return client

    if hasattr(huggingface_hub, "set_client_factory"):  # before 1.0 it repeats, and waits, in its own way
        huggingface_hub.close_session()
        huggingface_hub.set_client_factory(make)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    utils.disable_progress_bars()  # type: ignore[attr-defined]  # what is transferred is a stage of our own


def _at_once(send: Callable[..., Any]) -> Callable[..., Any]:
    """Return a client's `send` that raises errors which huggingface_hub does not repeat after."""
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

    def sent(request: Any, **options: Any) -> Any:
        try:
            response = send(request, **options)
            if response.status_code in _REPEATED:
                response.read()
        except Exception as error:
            raise Unanswered(request.url.path) from error
        if response.status_code in _REPEATED:
            hf_raise_for_status(response)
        return response

    return sent


def check_token(repo_id: str, *, needed: bool) -> None:
    """Check the token before it is sent: one that HTTP cannot carry would end in an error that shows it.

    Args:
        repo_id: the repo that it is for.
        needed: whether there must be one.

    Raises:
        HubProblem: if it is missing or malformed.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        if needed:
            raise HubProblem(
                "no token is given, and the Hub wants one for a push",
                subject=repo_id,
                advice="Log in with `hf auth login`, or set HF_TOKEN; it needs the right to write",
            )
    elif not token.isascii() or not token.isprintable() or " " in token:
        raise HubProblem(
            "the token holds characters that no token has",
            subject=repo_id,
            advice="Look whether HF_TOKEN, or the file that `hf auth login` wrote, holds more than the token",
        )
