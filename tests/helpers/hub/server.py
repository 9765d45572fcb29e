"""The wires: HTTP/1.1 on the loopback, a thread per connection, and connections that are cut."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .exchange import CHUNK, Answer, Dropped, Exchange, Refused
from .hub import Hub, Logged
from .rights import Token
from .routes import find

# Never real: what a test must not find in any output.
WRITER = Token("hf_loopbackWriterSecret")
READER = Token("hf_loopbackReaderSecret", role="read")
STRANGER = Token("hf_loopbackStrangerSecret", user="stranger", orgs=())


@contextlib.contextmanager
def serve_hub(
    state: Path,
    *,
    tokens: Iterable[Token] = (WRITER, READER, STRANGER),
    port: int = 0,
    part_size: int | None = None,
    page: int = 1000,
) -> Iterator[Hub]:
    """Serves a Hub from the folder `state` while the block runs; `port` may be an earlier server's.

    Raises:
        RuntimeError: at the end, if the server itself broke on a request.
    """
    hub = Hub(state, tokens, part_size=part_size, page=page)
    server = _Server(("127.0.0.1", port), hub)
    hub.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.stop()
        server.shutdown()
        server.close_all()
        thread.join()
    if hub.crashes:
        raise RuntimeError(f"the loopback Hub broke: {hub.crashes}") from hub.crashes[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], hub: Hub) -> None:
        self.hub = hub
        self.log_lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Ends the connections that clients keep: one that stays would be served by a server that is gone."""
        self.server_close()
        for request in [*self._open]:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a client does to its connection is its own affair; `_Handler` keeps the rest."""


class _Body:
    """A request's body on its way in. huggingface_hub announces the length of everything that it sends."""

    def __init__(self, handler: _Handler) -> None:
        self._file = handler.rfile
        self.announced = int(handler.headers.get("Content-Length", "0"))
        self._left = self.announced
        self.received = 0

    def read(self, most: int = CHUNK) -> bytes:
        data = self._file.read(min(most, self._left)) if self._left else b""
        if self._left and not data:
            raise ConnectionError("the client left in the middle of its body")
        self._left -= len(data)
        self.received += len(data)
        return data


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for the client to acknowledge its head
    server: _Server

    def _handle(self) -> None:
        if "Transfer-Encoding" in self.headers:
            self.send_error(411)
            return
        hub, address, body = self.server.hub, urlsplit(self.path), _Body(self)
        headers = {name.lower(): value for name, value in self.headers.items()}
        exchange = Exchange(self.command, address.path, parse_qs(address.query), headers, body)
        route = find(exchange)
        hub.arrive(exchange)
        fault = hub.faults.take(exchange)
        answer: Answer | None = None
        try:
            answer = fault.before_work(exchange, hub) if fault else None
            if answer is None:
                answer = self._work(exchange, route)
                answer = fault.after_work(exchange, answer, hub) if fault else answer
            exchange.drain()
        except Dropped:
            answer = None
        except ConnectionError:
            self.close_connection = True
            return
        finally:
            code = answer.code if answer and answer.cut is None else None
            name = type(fault).__name__ if fault else None
            sent = 0 if answer is None or self.command == "HEAD" else min(answer.cut or answer.size, answer.size)
            about = (exchange.token is not None, exchange.groups.get("repo", ""), body.received, sent)
            with self.server.log_lock:
                hub.log.append(Logged(exchange.method, self.path, exchange.phase, code, name, *about))
        if answer is None:
            self._drop()
        else:
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _work(self, exchange: Exchange, route: Any) -> Answer:
        try:
            if route is None:
                raise Refused(404, "Sorry, we can't find the page you are looking for.")
            answer: Answer = route(self.server.hub, exchange)
        except Refused as refused:
            return refused.answer()
        except ConnectionError:
            raise
        except Exception as error:
            self.server.hub.crashes.append(error)
            return Refused(500, f"Internal error: {type(error).__name__}").answer()
        return answer

    def _send(self, answer: Answer) -> None:
        try:
            self.send_response(answer.code)
            for name, value in {**answer.headers, "Content-Length": str(answer.size)}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self._send_body(answer)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        if answer.cut is not None:
            self._drop()

    def _send_body(self, answer: Answer) -> None:
        left = answer.size if answer.cut is None else min(answer.cut, answer.size)
        if isinstance(answer.body, bytes):
            self.wfile.write(answer.body[answer.start : answer.start + left])
            return
        with answer.body.open("rb") as file:
            file.seek(answer.start)
            while left and (data := file.read(min(left, CHUNK))):
                self.wfile.write(data)
                left -= len(data)

    def _drop(self) -> None:
        """Cuts the connection; after an answer in part only once that part is on its way."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing; `Hub.log` has it."""


def client_environment(hub: Hub, home: Path, token: Token | None = WRITER, **more: str) -> dict[str, str]:
    """The environment of a client of this Hub that knows no other: its own cache and login, and no Xet.

    With hf_xet installed the client uploads by Xet only, whatever the server says; HF_HUB_DISABLE_XET is its switch.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    ours = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    ours |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1,localhost"}
    ours |= {"HF_HUB_ETAG_TIMEOUT": "60", "HF_HUB_DOWNLOAD_TIMEOUT": "60"}  # a busy machine is no fault of the script
    return {**kept, **ours, **({"HF_TOKEN": token.secret} if token else {}), **more}
