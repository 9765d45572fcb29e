"""A file of the Hub read by ranges of its bytes, through huggingface_hub's client and login.

The Hub answers where the file's bytes lie (on another host, under a signed address that needs no token and ends in time),
and they are asked for there. No answer is believed: the range, its length, the size of the whole and the file's identity
are held against the Hub's listing of the commit; a server that knows no ranges is noticed before its answer is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prenorm.errors import HubProblem
from prenorm.files.spans import Range, Spans, cut, joined
from prenorm.hub.remote import RemoteFile
from prenorm.hub.retries import Requests
from prenorm.hub.sparse import SparseFile
from prenorm.options.spoken import spoken

_GAP = 256 << 10  # bytes between two ranges that are fetched, too, rather than asked for in two requests
_PIECE = 32 << 20  # the most that one request asks for: so much is lost at most where a run is killed
_CHUNK = 1 << 20
_MOST_REQUESTS = 10_000  # for one file; the largest models have some 2,500 tensors
_PARTIAL, _WHOLE, _OUTSIDE = 206, 200, 416
_MOVED = frozenset({401, 403, 404, 410})  # what a signed address answers when its time is over
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class RangesIgnored(HubProblem):
    """A server answered the request for a range with the whole file."""


class _Refused(Exception):
    """An answer with an error status, which `problems` tells by its response; its body is not read."""

    def __init__(self, response: Any) -> None:
        self.response = response
        super().__init__(f"HTTP {response.status_code}")


class _Incomplete(ConnectionError):
    """An answer ended before the range did."""


@dataclass
class _Place:
    """Where a file's bytes lie: an address, and the identity of what answers there."""

    address: str
    needs_token: bool
    etag: str | None = None


class RangeSource:
    """The bytes of one file of a commit, fetched into a local file with holes."""

    def __init__(self, requests: Requests, commit: str, name: str, remote: RemoteFile, local: SparseFile) -> None:
        """Prepare to read a file; nothing is asked of the Hub yet.

        Args:
            requests: makes the requests about the repo.
            commit: of the repo.
            name: the file's name in the repo.
            remote: what the Hub's listing of the commit says of it.
            local: where its bytes go.
        """
        self._requests, self._commit, self._name, self._remote = requests, commit, name, remote
        self._local = local
        self._place: _Place | None = None
        self._left = _MOST_REQUESTS

    @property
    def size(self) -> int:
        """The bytes of the whole file."""
        return self._remote.size

    @property
    def path(self) -> Path:
        """The local file."""
        return self._local.path

    def missing(self, ranges: Sequence[Range]) -> int:
        """Count the bytes that would be fetched for some ranges.

        Args:
            ranges: the ranges.

        Returns:
            How many; with those between ranges that are fetched as one.
        """
        return Spans(self._holes(ranges)).total

    def fetch(self, ranges: Sequence[Range], tick: Callable[[int], None] | None = None) -> None:
        """Fetch what of some ranges is not there yet.

        Args:
            ranges: the ranges.
            tick: receives the number of bytes that arrive.

        Raises:
            HubProblem: if the Hub does not hand them out, or hands out something else.
            RangesIgnored: if the server knows no ranges.
            OSError: if the disk is full, or fails.
        """
        for start, end in cut(self._holes(ranges), _PIECE):
            self._fetch(start, end, tick or _nothing)
            self._local.keep(start, end)

    def forget(self) -> None:
        """Remove the local file."""
        self._local.forget()

    def _holes(self, ranges: Sequence[Range]) -> list[Range]:
        return joined(self._local.missing(ranges), _GAP)

    def _fetch(self, start: int, end: int, tick: Callable[[int], None]) -> None:
        """Fetch one range; a repeated request goes on where the last one ended."""
        at = start

        def request() -> None:
            nonlocal at
            with self._answer(at, end) as response:
                for chunk in response.iter_raw(_CHUNK):
                    if at + len(chunk) > end:
                        raise self._wrong("it sends more bytes than were asked for")
                    self._local.write(at, chunk)
                    at += len(chunk)
                    tick(len(chunk))
            if at < end:
                raise _Incomplete

        self._requests(f"reading {self._name}", request)

    @contextmanager
    def _answer(self, start: int, end: int) -> Iterator[Any]:
        """Ask for a range, at a new address if the last one has had its time, and check all but the body."""
        is_fresh = self._place is None
        with self._request(start, end) as response:
            if response.status_code not in _MOVED or is_fresh:
                self._check(response, start, end)
                yield response
                return
        self._place = None
        with self._request(start, end) as response:
            self._check(response, start, end)
            yield response

    @contextmanager
    def _request(self, start: int, end: int) -> Iterator[Any]:
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        self._left -= 1
        if self._left < 0:
            raise HubProblem(
                f"'{self._name}' would take more than {_MOST_REQUESTS} requests to read",
                subject=self._requests.repo_id,
                advice=f"Read the file as a whole: {spoken('whole')}",
            )
        place = self._place = self._place or self._look_up()
        headers = build_hf_headers(token=None if place.needs_token else False)
        headers |= {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        session: Any = get_session()
        timeout = self._requests.policy.timeout
        with session.stream("GET", place.address, headers=headers, timeout=timeout) as response:
            yield response

    def _look_up(self) -> _Place:
        """Ask the Hub where the file is, and whether it is still what the listing said."""
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self._requests.repo_id, self._name, revision=self._commit)
        metadata = get_hf_file_metadata(url, timeout=self._requests.policy.timeout)
        is_other = metadata.size not in (None, self.size) or metadata.commit_hash not in (None, self._commit)
        if is_other or (metadata.etag and _SHA256.fullmatch(metadata.etag) and metadata.etag != self._remote.sha256):
            raise self._wrong("it is another file than the one in the listing of the commit")
        ours, theirs = urlsplit(constants.ENDPOINT), urlsplit(metadata.location)
        if theirs.scheme not in ("https", ours.scheme) or not theirs.hostname:
            raise self._wrong("it is said to lie at an address that is not safe to ask")
        return _Place(metadata.location, needs_token=(ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc))

    def _check(self, response: Any, start: int, end: int) -> None:
        """Refuse an answer that is not the range that was asked for."""
        status, headers = response.status_code, response.headers
        is_all = start == 0 and end == self.size
        if status == _OUTSIDE:
            raise self._wrong(f"it is said to end before byte {start:,}, and should have {self.size:,}")
        if status == _WHOLE and not is_all:
            raise RangesIgnored(
                f"the server of '{self._name}' hands out no part of it",
                subject=self._requests.repo_id,
                advice=f"Read the file as a whole: {spoken('whole')}",
            )
        if status not in (_PARTIAL, _WHOLE):
            raise _Refused(response)
        if headers.get("Content-Encoding", "identity") != "identity":
            raise self._wrong("it comes compressed, though it was asked for as it is")
        if status == _PARTIAL:
            self._check_range(headers.get("Content-Range", ""), start, end)
        elif headers.get("Content-Length", str(self.size)) != str(self.size):
            raise self._wrong(f"it has {headers['Content-Length']} bytes, and should have {self.size:,}")
        place = self._place
        etag = headers.get("ETag")
        if place is not None and etag is not None:
            if place.etag not in (None, etag):
                raise self._wrong("it changed while it was read")
            place.etag = etag

    def _check_range(self, text: str, start: int, end: int) -> None:
        stated = _CONTENT_RANGE.fullmatch(text)
        if stated is None or int(stated[1]) != start or not start <= int(stated[2]) < end:
            raise self._wrong(f"another range of it arrives than bytes {start:,} to {end - 1:,}")
        if stated[3] not in ("*", str(self.size)):
            raise self._wrong(f"it is said to have {int(stated[3]):,} bytes, and should have {self.size:,}")

    def _wrong(self, what: str) -> HubProblem:
        return HubProblem(
            f"'{self._name}' does not arrive as it is on the Hub: {what}",
            subject=self._requests.repo_id,
            advice=f"Check HF_ENDPOINT and any proxy between, and run the command again; {spoken('whole')} reads no ranges",
        )


def _nothing(_: int) -> None:
    """Count nothing."""
