"""What can go wrong with the Hub: which failures are temporary, and what the user is told of the others.

Errors are known by the HTTP status in them, or in what caused them: huggingface_hub wraps some, and lets the exceptions of
the HTTP library beneath it through. No text of an exception is shown as it is: it may hold addresses that are secrets.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from prenorm.errors import HubProblem, PrenormError, UsageProblem
from prenorm.files import CARD_FILE
from prenorm.options.spoken import spoken

_LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN"
_TEMPORARY = frozenset({408, 409, 412, 425, 429})
_BAD_REQUEST, _SERVER_ERROR = 400, 500
_CARD_VALIDATION = "/api/validate-yaml"  # huggingface_hub asks it about the card before a commit

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{10,}|(?<=Bearer )[^\s'\"]+")
_QUERY = re.compile(r"(https?://[^\s'\"<>?]*)\?[^\s'\"<>]*")


def redacted(text: str) -> str:
    """Remove tokens from a text, and the queries of addresses, which sign them.

    Args:
        text: what others wrote, or a traceback.

    Returns:
        The text with `[...]` in their places.
    """
    from huggingface_hub import get_token

    token = get_token()
    return _QUERY.sub(r"\1?[...]", _TOKEN.sub("[...]", text.replace(token, "[...]") if token else text))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and then what caused it, to the first cause.

    Args:
        error: an error, or None.

    Yields:
        BaseException: each once.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that the Hub answered with.

    Args:
        error: what a request raised.

    Returns:
        The status; None if there was no answer.
    """
    for one in causes(error):
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _address_of(error: BaseException) -> str:
    """Return the path of the address whose answer an error carries; empty if there was none."""
    for one in causes(error):
        address = getattr(getattr(one, "response", None), "url", None)
        if address is not None:
            return urlsplit(str(address)).path
    return ""


def is_timeout(error: BaseException) -> bool:
    """Return whether no answer came in time, so that what was asked for may still be happening.

    The classes of the HTTP library are known by name only: it is another one in each major release of huggingface_hub.

    Args:
        error: what a request raised.

    Returns:
        True for a timeout.
    """
    return status_of(error) is None and any("Timeout" in type(one).__name__ for one in causes(error))


def is_temporary(error: BaseException) -> bool:
    """Return whether the same request may well succeed later.

    Args:
        error: what a request raised.

    Returns:
        True for a broken connection, and for an HTTP status that says so.
    """
    status = status_of(error)
    if status is not None:
        return status in _TEMPORARY or status >= _SERVER_ERROR
    return _is_connection(error)


def _is_connection(error: BaseException) -> bool:
    """Return whether the connection was not made, or broke: an error of the HTTP library, whichever it is."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    errors = list(causes(error))
    if any(isinstance(one, OfflineModeIsEnabled) for one in errors):
        return False
    return any(
        (
            type(one).__module__.partition(".")[0].startswith(("httpx", "httpcore", "requests", "urllib3"))
            and not type(one).__name__.startswith(("LocalProtocol", "InvalidURL", "UnsupportedProtocol"))
        )
        or isinstance(one, ConnectionError | TimeoutError)
        for one in errors
    )


def retry_after(error: BaseException) -> float | None:
    """Return how long the Hub asks to wait (RFC 9110, 10.2.3: a number, or a date).

    Args:
        error: what a request raised.

    Returns:
        Seconds; None if it does not say.
    """
    for one in causes(error):
        headers = getattr(getattr(one, "response", None), "headers", None)
        value = headers.get("Retry-After") if headers is not None else None
        if value is None:
            continue
        try:
            return max(0.0, float(value))
        except ValueError:
            try:
                return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
            except ValueError:
                return None
    return None


def summary(error: BaseException) -> str:
    """Return an error in a few words, none of which are taken from its text.

    Args:
        error: what a request raised.

    Returns:
        Words for the middle of a sentence.
    """
    status = status_of(error)
    if status is not None:
        return f"HTTP {status}"
    if is_timeout(error):
        return "no answer in time"
    name = type(list(causes(error))[-1]).__name__
    return f"the connection broke: {name}" if _is_connection(error) else name


def to_problem(error: Exception, repo_id: str, action: str, attempts: int = 1) -> PrenormError:
    """Turn the failure of a request into what the user is told.

    Args:
        error: what the last attempt raised.
        repo_id: the repo.
        action: what was asked of the Hub, as in "creating the repo".
        attempts: how often.

    Returns:
        An error with cause and advice; `error` itself if it is one of prenorm's.
    """
    from huggingface_hub import errors as hub

    if isinstance(error, PrenormError):
        return error
    status = status_of(error)
    if any(isinstance(one, hub.OfflineModeIsEnabled) for one in causes(error)):
        return HubProblem("HF_HUB_OFFLINE forbids asking the Hub", subject=repo_id, advice="Unset it, and try again")
    if status == _BAD_REQUEST and _address_of(error).endswith(_CARD_VALIDATION):  # huggingface_hub has no class for it
        return UsageProblem(
            f"the Hub refuses the card's front matter: {_one_line(str(error))}",
            subject=CARD_FILE,
            advice="Convert again with a valid "
            + ", ".join(map(spoken, ("card", "license", "language", "base_model"))),
        )
    if status is not None:
        return _refusal(error, status, repo_id, action, attempts)
    if _is_connection(error):
        return HubProblem(
            f"the Hub could not be reached for {action} ({summary(error)}; tried {_times(attempts)})",
            subject=repo_id,
            advice="Check the network and HF_ENDPOINT, and run the command again: it goes on where it stopped",
        )
    return HubProblem(
        f"{action} failed: what answered is not the Hub, or does not speak as it does ({type(error).__name__})",
        subject=repo_id,
        advice="Check HF_ENDPOINT and any proxy or login page between, and run the command again",
    )


def _refusal(error: Exception, status: int, repo_id: str, action: str, attempts: int) -> HubProblem:
    """Turn an answer with an HTTP error into what the user is told."""
    from huggingface_hub import errors as hub
    from huggingface_hub import get_token

    no_repo = "the Hub has no such repo, or it is private and the token may not read it"
    causes_and_advice = {
        401: ("the Hub does not accept the token" if get_token() else "no token is given, and the Hub wants one", _LOG_IN),
        403: (
            f"the token has not the right needed for {action}",
            "Use a token of the role 'write', or a fine-grained one with write access to this repo or organization; "
            f"for {spoken('pull_request')} one that may open pull requests",
        ),
        404: (no_repo, f"Check the name. {_LOG_IN} for a private one"),
        409: (f"the Hub says that {action} conflicts with something else going on", "Run the command again"),
        412: ("somebody else keeps committing to it", "Run the command again when they are done"),
        429: ("the Hub asks to slow down", _later(error)),
    }  # fmt: skip
    if status == 401 and not get_token() and isinstance(error, hub.RepositoryNotFoundError):
        causes_and_advice[401] = (
            "the Hub has no such repo, or it is private and no token is given",
            f"Check the name. {_LOG_IN}",
        )
    if isinstance(error, hub.RevisionNotFoundError):
        causes_and_advice[404] = ("the repo has no such revision", "Check the revision")
    elif status == 404 and not isinstance(error, hub.RepositoryNotFoundError):
        causes_and_advice[404] = (
            f"the Hub finds nothing for {action}",
            "Check the name and HF_ENDPOINT, and run the command again",
        )
    cause, advice = causes_and_advice.get(
        status, (f"the Hub refuses {action}", "Run the command again" if status >= _SERVER_ERROR else "")
    )
    message = getattr(error, "server_message", None)
    details = f", tried {_times(attempts)}" if attempts > 1 else ""
    details += f": {_one_line(message)}" if message and status not in (401, 404) else ""
    return HubProblem(f"{cause} (HTTP {status}{details})", subject=repo_id, advice=advice)


def _later(error: Exception) -> str:
    seconds = retry_after(error)
    return f"Run the command again in {seconds:.0f} s" if seconds else "Run the command again later"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _one_line(text: str) -> str:
    return redacted(" ".join(text.split()))[:300]
