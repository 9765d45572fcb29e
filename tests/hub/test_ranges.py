"""Files of the Hub read by ranges, with both releases of huggingface_hub: what comes, and what is not believed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from helpers.hub import (
    WRITER,
    DropInAnswer,
    Garbage,
    Headers,
    Hold,
    Hub,
    NoRanges,
    Replaced,
    Resized,
    Status,
    WrongContent,
    client_environment,
    serve_hub,
)
from helpers.hub.faults import Action
from helpers.paths import HUB_PYTHONS, SCRIPTS, SOURCES
from prenorm.files.spans import Spans, cut, joined
from prenorm.hub.sparse import SparseFile, remove_unused

pytestmark = pytest.mark.slow

SIZE = 200_000
CONTENT = random.Random(5).randbytes(SIZE)
RANGES = [[150_000, 151_000], [60_000, 70_000], [199_000, SIZE]]
# The usual sizes, made for files of gigabytes, in proportion to this one.
SMALL = {
    "prenorm.hub.checkpoints._SMALLEST_RANGED": 1, "prenorm.hub.checkpoints._HEAD": 100,
    "prenorm.hub.ranges._GAP": 500, "prenorm.hub.ranges._PIECE": 8000, "prenorm.hub.ranges._CHUNK": 1000,
}  # fmt: skip


class Client:
    """A process that reads what it is asked for, one job after the other."""

    def __init__(self, hub: Hub, release: str, home: Path) -> None:
        self.hub, self.home = hub, home
        environment = client_environment(hub, home, None, PYTHONPATH=SOURCES)
        self._process = subprocess.Popen(
            [str(HUB_PYTHONS[release]), str(SCRIPTS / "range_client.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self._line().split(".")[0] == release

    def read(self, repo: str, **job: Any) -> dict[str, Any]:
        """One job; the answer has the sum of bytes that the Hub sent from where large files are, too."""
        before = len(self.hub.log)
        asked = {"address": f"hf://{repo}/run/x.pt", "ranges": RANGES, "token": WRITER.secret, "changed": {}, **job}
        asked["changed"] = {**SMALL, **asked["changed"]}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        log = self.hub.log[before:]
        assert "signature=" not in str(answer) and WRITER.secret not in str(answer)
        return {**answer, "log": log, "sent": sum(one.sent for one in log if one.phase == "content")}

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve_hub(tmp_path_factory.mktemp("hub")) as served:
        yield served


@pytest.fixture(scope="module", params=sorted(HUB_PYTHONS))
def release(request: pytest.FixtureRequest, server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    assert HUB_PYTHONS[request.param].exists(), "the older huggingface_hub is not installed: run `make hub-env`"
    made = Client(server, request.param, tmp_path_factory.mktemp(f"home{request.param}"))
    yield made
    made.close()


@pytest.fixture
def client(release: Client) -> Iterator[Client]:
    release.hub.faults.clear()
    yield release
    assert not release.hub.faults.pending()
    release.hub.faults.clear()


@pytest.fixture
def repo(client: Client, request: pytest.FixtureRequest) -> str:
    name = "lab/" + hashlib.sha256(f"{request.node.nodeid}".encode()).hexdigest()[:12]
    client.hub.seed(name, {"run/x.pt": CONTENT, "run/dict.txt": b"x"})
    return name


def wanted(ranges: list[list[int]] = RANGES) -> str:
    return hashlib.sha256(b"".join(CONTENT[start:end] for start, end in ranges)).hexdigest()


def test_only_what_is_asked_for_comes_and_only_once(client: Client, repo: str) -> None:
    head = 100
    done = client.read(repo)
    assert (done["code"], done["sum"], done["ranged"]) == (0, wanted(), True), done
    assert done["sent"] == head + 12_000 and done["steps"] == done["missing"] == 12_000
    statuses = [one.status for one in done["log"] if one.phase == "content"]
    assert statuses == [206] * 5  # the head, and three ranges, of which one is larger than a request may be
    assert [one.phase for one in done["log"]].count("resolve") == 1
    again = client.read(repo)
    assert (again["sum"], again["sent"], [one.phase for one in again["log"]]) == (wanted(), 0, ["info"])
    more = client.read(repo, ranges=[[59_000, 71_000]])  # 1,000 bytes on each side of what is there
    assert (more["sum"], more["sent"]) == (wanted([[59_000, 71_000]]), 2000)


def test_ranges_that_are_near_each_other_are_one_request(client: Client, repo: str) -> None:
    ranges = [[10_000, 10_100], [10_600, 10_700], [11_300, 11_400]]
    done = client.read(repo, ranges=ranges)
    assert done["sum"] == wanted(ranges) and done["sent"] == 100 + 700 + 100
    assert done["steps"] == done["missing"] == 800


def test_a_token_is_shown_to_the_hub_and_not_to_where_the_bytes_are(client: Client, repo: str) -> None:
    private = f"{repo}-private"
    client.hub.seed(private, {"run/x.pt": CONTENT}, private=True)
    done = client.read(private)
    assert (done["code"], done["sum"]) == (0, wanted())
    shown = {(one.phase, one.authorized) for one in done["log"]}
    assert shown == {("info", True), ("resolve", True), ("content", False)}
    refused = client.read(private, token=None)
    assert refused["code"] == 5 and "private" in refused["sentence"]


def test_a_server_without_ranges_is_noticed_and_the_file_fetched_whole(client: Client, repo: str) -> None:
    client.hub.faults.add("content", NoRanges(), method="GET", times=None)
    done = client.read(repo)
    assert (done["code"], done["sum"], done["ranged"]) == (0, wanted(), False), done
    assert [text for text in done["warnings"] if "no part of a file" in text]
    client.hub.faults.add("content", WrongContent(), method="GET", times=None)
    again = client.read(repo)  # from huggingface_hub's cache
    assert (again["sum"], again["sent"]) == (wanted(), 0)
    client.hub.faults.clear()


def test_a_connection_that_drops_goes_on_where_it_ended(client: Client, repo: str) -> None:
    client.hub.faults.add("content", DropInAnswer(3500), method="GET", at=2)
    client.hub.faults.add("content", Status(503), method="GET", at=4)
    client.hub.faults.add("content", Status(429, {"Retry-After": "0"}), method="GET", at=6)
    client.hub.faults.add("info", Status(502))
    done = client.read(repo)
    assert (done["code"], done["sum"]) == (0, wanted()), done
    assert len(done["warnings"]) == 4
    contents = sum(one.sent for one in done["log"] if one.phase == "content" and one.status in (None, 206))
    assert contents - 12_100 <= 1000  # all but a piece in a buffer was kept


WRONG: dict[str, tuple[Action, str]] = {
    "another range": (Headers({"Content-Range": f"bytes 0-99/{SIZE}"}), "another range of it arrives"),
    "no range": (Headers({"Content-Range": None}), "another range of it arrives"),
    "a range that is no range": (Headers({"Content-Range": "bytes -1-9/x"}), "another range of it arrives"),
    "another size": (Headers({"Content-Range": f"bytes 60000-67999/{SIZE + 1}"}), "it is said to have 200,001 bytes"),
    "another file": (Headers({"ETag": '"another"'}), "it changed while it was read"),
    "more than was asked for": (Resized(1500), "more bytes than were asked for"),
    "compressed": (Headers({"Content-Encoding": "gzip"}), "it comes compressed"),
    "outside": (Status(416), "it is said to end before byte 60,000"),
    "the whole of it": (NoRanges(), "hands out no part of it"),
    "a login page": (Garbage(), "hands out no part of it"),
    "not found": (Status(404), "HTTP 404"),
    "forbidden": (Status(403), "HTTP 403"),
    "an error": (Status(500), "HTTP 500"),
    "too little, each time": (Resized(-8000), "the connection broke"),
    "dropped, each time": (DropInAnswer(0), "the connection broke"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_ends_in_one_sentence(name: str, client: Client, repo: str) -> None:
    action, said = WRONG[name]
    client.hub.faults.add("content", action, method="GET", at=2, times=None)
    done = client.read(repo)
    assert done["code"] == 5 and said in done["sentence"] and repo in done["sentence"], done
    assert len(done["log"]) < 12
    client.hub.faults.clear()
    done = client.read(repo)  # nothing wrong has stayed in the cache
    assert (done["code"], done["sum"]) == (0, wanted()), done


def test_an_address_whose_time_is_over_is_asked_for_again(client: Client, repo: str) -> None:
    client.hub.faults.add("content", Status(403), method="GET", at=3)
    done = client.read(repo)
    assert (done["code"], done["sum"], done["warnings"]) == (0, wanted(), [])
    assert [one.phase for one in done["log"]].count("resolve") == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Linked-Etag": f'"{"0" * 64}"'},
        {"X-Linked-Size": "7"},
        {"X-Repo-Commit": "0" * 40},
        {"Location": "ftp://x/y"},
    ],
    ids=["sum", "size", "commit", "address"],
)
def test_another_file_than_the_listings_is_not_read(headers: dict[str, str], client: Client, repo: str) -> None:
    client.hub.faults.add("resolve", Headers(headers), times=None)
    done = client.read(repo)
    assert done["code"] == 5 and "does not arrive as it is on the Hub" in done["sentence"] and done["sent"] == 0


@pytest.mark.parametrize(
    ("size", "code", "said"),
    [(1 << 50, 4, "more than any checkpoint"), (SIZE + 1, 5, "another file"), (SIZE - 1, 5, "another file")],
)
def test_a_size_that_the_listing_invents_is_not_believed(
    size: int, code: int, said: str, client: Client, repo: str
) -> None:
    client.hub.faults.add("info", Replaced(b'"size": %d' % SIZE, b'"size": %d' % size))
    done = client.read(repo)
    assert (done["code"], done["sent"]) == (code, 0) and said in done["sentence"], done


def test_silence_ends_a_request_in_the_time_that_was_chosen(client: Client, tmp_path: Path) -> None:
    with serve_hub(tmp_path / "state") as hub:
        hub.seed("lab/silent", {"run/x.pt": CONTENT})
        hub.faults.add("content", Hold("release"), method="GET", at=2, times=None)
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        endpoint = {
            "huggingface_hub.constants.ENDPOINT": hub.endpoint,
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE": template,
        }
        done = client.read("lab/silent", attempts=2, timeout=0.3, changed=endpoint)
        hub.release()
    assert done["code"] == 5 and "no answer in time; tried twice" in done["sentence"].replace("2 times", "twice"), done


def test_offline_what_is_there_is_read_and_nothing_else(client: Client, repo: str) -> None:
    offline = {"changed": {"huggingface_hub.constants.HF_HUB_OFFLINE": True}}
    before = client.read(repo, **offline)
    assert before["code"] == 5 and "HF_HUB_OFFLINE" in before["sentence"]
    assert client.read(repo)["code"] == 0
    commit = client.hub.commits(repo)[0].oid
    for revision in ("", f"@{commit}"):
        there = client.read(repo, address=f"hf://{repo}/run/x.pt{revision}", **offline)
        assert (there["code"], there["sum"], there["log"]) == (0, wanted(), [])
    more = client.read(repo, ranges=[[0, 5000]], **offline)
    assert more["code"] == 5 and "HF_HUB_OFFLINE" in more["sentence"]
    assert client.read(repo, address=f"hf://{repo}/run/x.pt@other", **offline)["code"] == 5


def test_a_cache_that_was_tampered_with_is_not_believed(client: Client, repo: str) -> None:
    blob = Path(client.read(repo)["path"]).resolve()
    listed = blob.with_name(f"{blob.name}.json")
    good = listed.read_text()
    for text in ("", "[]", '{"size": 1, "ranges": [[0, 1]]}', f'{{"size": {SIZE}, "ranges": [[0, {SIZE + 1}]]}}'):
        listed.write_text(text)
        assert client.read(repo)["sent"] == 12_100
    blob.unlink()  # a new one is all hole, whatever the list says
    listed.write_text(good)
    done = client.read(repo)
    assert (done["sum"], done["sent"]) == (wanted(), 12_100)
    os.truncate(blob, 70_000)
    done = client.read(repo)
    assert (done["sum"], done["sent"]) == (wanted(), 12_100)


def test_what_takes_too_many_requests_is_not_read(client: Client, repo: str) -> None:
    ranges = [[start, start + 1] for start in range(1000, 40_000, 1000)]
    done = client.read(repo, ranges=ranges, changed={"prenorm.hub.ranges._MOST_REQUESTS": 20})
    assert done["code"] == 5 and "more than 20 requests" in done["sentence"] and len(done["log"]) < 25


def test_two_that_fill_one_file_lose_nothing_that_is_there(tmp_path: Path) -> None:
    one, other = SparseFile(tmp_path / "blob", 1000), SparseFile(tmp_path / "blob", 1000)
    one.write(0, b"a" * 10)
    one.keep(0, 10)
    other.write(20, b"b" * 10)
    other.keep(20, 30)
    third = SparseFile(tmp_path / "blob", 1000)
    assert list(third.there) == [(0, 10), (20, 30)] and third.path.stat().st_size == 1000
    one.forget()
    other.write(40, b"c")
    other.keep(40, 41)  # the file is gone, and no list says otherwise
    assert list(tmp_path.iterdir()) == []


def test_files_of_no_use_for_long_are_removed(tmp_path: Path) -> None:
    for name, used in (("old", 100.0), ("new", 300.0)):
        SparseFile(tmp_path / name, 10).keep(0, 10)
        for path in (tmp_path / name, tmp_path / f"{name}.json"):
            os.utime(path, (used, used))
    remove_unused(tmp_path, 200.0)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "new.json"}


def test_sets_of_bytes_are_what_a_bitmap_says() -> None:
    chance = random.Random(2)
    for _ in range(300):
        spans, bits = Spans(), [False] * 40
        for _ in range(chance.randrange(8)):
            start = chance.randrange(40)
            end = chance.randrange(start, 41)
            spans.add(start, end)
            bits[start:end] = [True] * (end - start)
        assert spans.total == sum(bits)
        ranges = list(spans)
        assert all(left[1] < right[0] for left, right in pairwise(ranges))
        start, end = sorted(chance.sample(range(41), 2))
        holes = [at for one in spans.missing(start, end) for at in range(*one)]
        assert holes == [at for at in range(start, end) if not bits[at]]
        assert spans.covers(start, end) == (not holes)
        assert Spans(joined(ranges, 0)).total == spans.total
        assert all(end - start <= 3 for start, end in cut(ranges, 3)) and Spans(cut(ranges, 3)).total == spans.total
