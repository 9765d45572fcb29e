"""What can go wrong with the Hub, in one place: what may pass if one waits, and what the user is told if it does not.

Errors are known by the HTTP status in them, or in what caused them: the client wraps some, and lets the exceptions of the
HTTP library beneath it through. No text of an exception is shown as it is: it may hold addresses that are secrets.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator

from prenorm.errors import HubProblem, PrenormError, UsageProblem
from prenorm.files import CARD_FILE

_LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN"
_PASSING = frozenset({408, 409, 412, 425, 429})
_SERVER_ERROR = 500


_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{10,}|(?<=Bearer )[^\s'\"]+")
_QUERY = re.compile(r"(https?://[^\s'\"<>?]*)\?[^\s'\"<>]*")


def redacted(text: str) -> str:
    """`text` without tokens and without the queries of addresses, which sign them: for what others wrote, and tracebacks."""
    from huggingface_hub import get_token

    token = get_token()
    return _QUERY.sub(r"\1?[...]", _TOKEN.sub("[...]", text.replace(token, "[...]") if token else text))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def status_of(error: BaseException) -> int | None:
    """The HTTP status that the Hub answered with, if it answered."""
    for one in chain(error):
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def is_timeout(error: BaseException) -> bool:
    """Whether nobody answered in time, so that what was asked for may still be happening."""
    return status_of(error) is None and any("Timeout" in type(one).__name__ for one in chain(error))


def may_pass(error: BaseException) -> bool:
    """Whether the same request may well work later."""
    status = status_of(error)
    if status is not None:
        return status in _PASSING or status >= _SERVER_ERROR
    return _is_connection(error)


def _is_connection(error: BaseException) -> bool:
    """Whether the connection did not come about, or broke: an error of the HTTP library, whichever it is."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    found = list(chain(error))
    if any(isinstance(one, OfflineModeIsEnabled) for one in found):
        return False
    return any(
        (
            type(one).__module__.partition(".")[0].startswith(("httpx", "httpcore", "requests", "urllib3"))
            and not type(one).__name__.startswith(("LocalProtocol", "InvalidURL", "UnsupportedProtocol"))
        )
        or isinstance(one, ConnectionError | TimeoutError)
        for one in found
    )


def retry_after(error: BaseException) -> float | None:
    """Seconds that the Hub asks to wait (RFC 9110, 10.2.3: a number, or a date)."""
    for one in chain(error):
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


def in_short(error: BaseException) -> str:
    """The error in a few words, without its own."""
    status = status_of(error)
    if status is not None:
        return f"HTTP {status}"
    if is_timeout(error):
        return "no answer in time"
    name = type(list(chain(error))[-1]).__name__
    return f"the connection broke: {name}" if _is_connection(error) else name


def as_problem(error: Exception, repo_id: str, doing: str, tried: int = 1) -> PrenormError:
    """The one sentence for the user.

    Args:
        doing: what was asked of the Hub, as in "creating the repo".
        tried: how often.
    """
    from huggingface_hub import errors as hub

    if isinstance(error, PrenormError):
        return error
    status = status_of(error)
    if any(isinstance(one, hub.OfflineModeIsEnabled) for one in chain(error)):
        return HubProblem("HF_HUB_OFFLINE forbids asking the Hub", subject=repo_id, advice="Unset it, and try again")
    if isinstance(error, ValueError) and "Invalid metadata" in str(error):
        return UsageProblem(
            f"the Hub refuses the card's front matter: {_one_line(str(error))}",
            subject=CARD_FILE,
            advice="Convert again with a --card, --license, --language or --base-model that is valid",
        )
    if status is not None:
        return _refusal(error, status, repo_id, doing, tried)
    if _is_connection(error):
        return HubProblem(
            f"the Hub could not be reached for {doing} ({in_short(error)}; tried {_times(tried)})",
            subject=repo_id,
            advice="Check the network and HF_ENDPOINT, and run the command again: it goes on where it stopped",
        )
    return HubProblem(
        f"{doing} failed: what answered is not the Hub, or does not speak as it does ({type(error).__name__})",
        subject=repo_id,
        advice="Check HF_ENDPOINT and any proxy or login page between, and run the command again",
    )


def _refusal(error: Exception, status: int, repo_id: str, doing: str, tried: int) -> HubProblem:
    """An answer with an error of HTTP."""
    from huggingface_hub import errors as hub
    from huggingface_hub import get_token

    no_repo = "the Hub has no such repo, or it is private and the token may not read it"
    known = {
        401: ("the Hub does not accept the token" if get_token() else "no token is given, and the Hub wants one", _LOG_IN),
        403: (
            f"the token has not the right needed for {doing}",
            "Use a token of the role 'write', or a fine-grained one with write access to this repo or organization; "
            "for --pull-request one that may open pull requests",
        ),
        404: (no_repo, f"Check the name. {_LOG_IN} for a private one"),
        409: (f"the Hub says that {doing} conflicts with something else going on", "Run the command again"),
        412: ("somebody else keeps committing to it", "Run the command again when they are done"),
        429: ("the Hub asks to slow down", _later(error)),
    }  # fmt: skip
    if status == 401 and not get_token() and isinstance(error, hub.RepositoryNotFoundError):
        known[401] = ("the Hub has no such repo, or it is private and no token is given", f"Check the name. {_LOG_IN}")
    if isinstance(error, hub.RevisionNotFoundError):
        known[404] = ("the repo has no such revision", "Check the revision")
    elif status == 404 and not isinstance(error, hub.RepositoryNotFoundError):
        known[404] = (f"the Hub finds nothing for {doing}", "Check the name and HF_ENDPOINT, and run the command again")
    cause, advice = known.get(
        status, (f"the Hub refuses {doing}", "Run the command again" if status >= _SERVER_ERROR else "")
    )
    said = getattr(error, "server_message", None)
    shown = f": {_one_line(said)}" if said and status not in (401, 404) else ""
    often = f", tried {_times(tried)}" if tried > 1 else ""
    return HubProblem(f"{cause} (HTTP {status}{often}{shown})", subject=repo_id, advice=advice)


def _later(error: Exception) -> str:
    wanted = retry_after(error)
    return f"Run the command again in {wanted:.0f} s" if wanted else "Run the command again later"


def _times(tried: int) -> str:
    return "once" if tried == 1 else f"{tried} times"


def _one_line(text: str) -> str:
    return redacted(" ".join(text.split()))[:300]
