"""Bodies too large or too slow, connections on which nothing comes, too much at once, the last moments."""

import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from mcp_server.emulator import Emulator
from mcp_server.http.bodies import MOST_VALUES, Bodies
from tests.conftest import fault, running, text_of

pytestmark = pytest.mark.anyio

SERVE = ("serve", "--transport", "http", "--port", "0")
QUICK = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": "memory://"}
ACCEPT = {"Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def impatient() -> Iterator[str]:
    """A server that waits for a moment only, and takes few connections; its base URL."""
    variables = QUICK | {"SEEDREAM_HTTP_READ_SECONDS": "0.5", "SEEDREAM_HTTP_MAX_CONNECTIONS": "5"}
    with running(*SERVE, wait_for="listening on", **variables) as (url, _):
        yield url.removesuffix("/mcp")


def connect(base: str) -> socket.socket:
    host, _, port = base.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize("path", ["/mcp", "/messages/?session_id=1"])
def test_a_body_over_the_limit_is_refused_at_once_by_its_declared_length(impatient: str, path: str) -> None:
    with connect(impatient) as peer:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        peer.sendall(f"{head}Content-Length: {161 * 1024**2}\r\n\r\n".encode())
        reply = peer.recv(4096)
        while more := peer.recv(4096):  # it waits for a body for a moment, then it closes
            reply += more
    assert reply.startswith(b"HTTP/1.1 413")
    assert b"160 MiB" in reply


async def test_over_sse_the_call_itself_is_answered_too_where_a_client_looks_at_nothing_else() -> None:
    large = "data:image/jpeg;base64," + "A" * (161 * 1024**2)
    with running(*SERVE, wait_for="listening on", **QUICK) as (url, _):
        async with Client(sse_client(url.replace("/mcp", "/sse")), mode="legacy") as client:
            arguments = {"prompt": "x", "images": [large]}
            refused = await client.call_tool("edit_image", arguments, read_timeout_seconds=60)
            assert text_of(refused).startswith("[invalid_argument] The request is larger than 160 MiB")


@pytest.mark.parametrize("form", ["text", "json"])
async def test_what_is_no_message_over_sse_is_refused_and_its_text_is_not_logged(form: str) -> None:
    with running(*SERVE, wait_for="listening on", **QUICK, SEEDREAM_LOG_FORMAT=form) as (url, process):
        base = url.partition("/mcp")[0]
        async with (
            httpx.AsyncClient(headers={"Content-Type": "application/json"}) as http,
            http.stream("GET", f"{base}/sse") as stream,
        ):
            lines = stream.aiter_lines()
            endpoint = [await anext(lines) for _ in range(2)][1].removeprefix("data: ")
            refused = await http.post(f"{base}{endpoint}", content=b'{"jsonrpc":"2.0","id":1,"x":"my words"}')
        process.terminate()
        assert process.stdout is not None
        log = process.stdout.read()
    assert refused.status_code == 400
    assert "Failed to parse message: ValidationError at " in log
    assert "my words" not in log


def test_a_client_that_asks_before_it_sends_too_much_is_told_no(impatient: str) -> None:
    with connect(impatient) as peer:
        head = "POST /messages/?session_id=1 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        peer.sendall(f"{head}Content-Length: {161 * 1024**2}\r\n\r\n".encode())
        assert peer.recv(4096).startswith(b"HTTP/1.1 413")


async def test_a_slash_at_the_end_leads_nowhere_else_and_a_head_of_a_stream_is_refused(
    impatient: str,
) -> None:
    async with httpx.AsyncClient(headers=ACCEPT) as http:
        assert (
            await http.post(f"{impatient}/mcp/", json={**PING, "id": "x"})
        ).status_code == 400  # no session
        assert (await http.post(f"{impatient}/messages", json=PING)).status_code == 404
        refused = await http.head(f"{impatient}/sse/")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST, DELETE")


@pytest.mark.parametrize("sent", ["", "POST /mcp HTTP/1.1\r\nHost: local", "POST /mcp HTTP/1.1\r\n"])
def test_a_connection_on_which_no_request_comes_is_closed(impatient: str, sent: str) -> None:
    with connect(impatient) as peer:
        peer.sendall(sent.encode())
        assert peer.recv(100) == b""


def test_a_second_request_that_is_never_complete_is_closed_too(impatient: str) -> None:
    with connect(impatient) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = b""
        while not reply.endswith(b'{"status":"ok"}'):
            reply += peer.recv(4096)
        peer.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert peer.recv(100) == b""


def test_a_body_that_does_not_come_is_answered_408(impatient: str) -> None:
    with connect(impatient) as peer:
        head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        peer.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert peer.recv(4096).startswith(b"HTTP/1.1 408")
        while peer.recv(4096):
            pass


def test_connections_over_the_limit_are_answered_503(impatient: str) -> None:
    held = []
    try:
        for _ in range(5):
            peer = connect(impatient)
            peer.sendall(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.recv(15) == b"HTTP/1.1 200 OK"
            held.append(peer)
        with connect(impatient) as peer:
            peer.sendall(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.recv(4096).startswith(b"HTTP/1.1 503")
        assert httpx.get(f"{impatient}/healthz").status_code == 200  # or it would be restarted
    finally:
        for peer in held:
            peer.close()


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_calls_of_one_caller_over_the_limit_are_refused_and_cost_nothing(
    emulator: Emulator, transport: str
) -> None:
    emulator.app.faults.add(fault(delay=1.5, share=1.0))
    variables = {
        "NOVITA_BASE_URL": emulator.url,
        "SEEDREAM_STORE_URL": "memory://",
        "SEEDREAM_HTTP_MAX_REQUESTS": "4",
    }
    with running(*SERVE, wait_for="listening on", **variables) as (url, _):
        refused = []
        if transport == "sse":
            async with Client(sse_client(url.replace("/mcp", "/sse")), mode="legacy") as client:

                async def call(number: int) -> None:
                    result = await client.call_tool("generate_image", {"prompt": f"{number}"})
                    if result.is_error:
                        refused.append(text_of(result).startswith("[rate_limited] 4 calls of yours"))

                async with anyio.create_task_group() as tasks:
                    for number in range(5):
                        tasks.start_soon(call, number)
        else:
            async with httpx.AsyncClient(timeout=30, headers=ACCEPT) as http:

                async def post(number: int) -> None:
                    params = {"name": "generate_image", "arguments": {"prompt": f"{number}"}}
                    meta = {
                        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                        "io.modelcontextprotocol/clientCapabilities": {},
                        "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
                    }
                    message = {**PING, "method": "tools/call", "params": {**params, "_meta": meta}}
                    headers = {
                        "MCP-Protocol-Version": "2026-07-28",
                        "Mcp-Method": "tools/call",
                        "Mcp-Name": "generate_image",
                    }
                    reply = await http.post(url, json=message, headers=headers)
                    if reply.status_code != 200:
                        refused.append(reply.status_code == 429 and "retry-after" in reply.headers)

                async with anyio.create_task_group() as tasks:
                    for number in range(5):
                        tasks.start_soon(post, number)
    assert refused == [True]
    assert sum(record.billed_images for record in emulator.app.store._records.values()) == 4


class Peer:
    """One HTTP request without a network: what a client sends, and what it gets."""

    def __init__(self, *pieces: bytes, path: str = "/mcp", length: int | None = None) -> None:
        self.pieces = deque(pieces)
        self.got: list[Message] = []
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        self.scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": headers}

    async def receive(self) -> Message:
        if not self.pieces:
            return {"type": "http.disconnect"}
        piece = self.pieces.popleft()
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, message: Message) -> None:
        self.got.append(message)

    @property
    def status(self) -> int:
        return int(self.got[0]["status"])


class App:
    """Notes the bodies that get through."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.hold = anyio.Event()
        self.hold.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append(json.loads(await Request(scope, receive).body()))
        await self.hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(bodies: Bodies, peer: Peer) -> int:
    await bodies(peer.scope, peer.receive, peer.send)
    return peer.status


async def test_a_body_of_unknown_length_is_counted() -> None:
    app = App()
    bodies = Bodies(app, 5, largest=20)
    assert await ask(bodies, Peer(b'{"a":', b"1}")) == 200
    assert await ask(bodies, Peer(b'{"a":"', b"x" * 20, b'"}')) == 413
    assert app.bodies == [{"a": 1}]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"id":8,"x":"', b'"}}'),
        (b'{"method":"tools/call","params":{"id":8,"x":"', b'"},"jsonrpc":"2.0","id":7}'),
        (b'{"method":"tools/call","params":{"id":8,"x":"', b'"},"id" : 7 , "jsonrpc": "2.0"} \n'),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
async def test_wherever_the_id_of_a_too_large_message_stands_it_is_answered_in_its_session(
    start: bytes, end: bytes, *, declared: bool
) -> None:
    app, filling = App(), [b"x" * 30] * 5
    length = len(start) + len(end) + 150 if declared else None
    peer = Peer(start, *filling, end, path="/messages/", length=length)
    assert await ask(Bodies(app, 5, largest=100), peer) == 413
    assert [(body["id"], body["method"]) for body in app.bodies] == [(7, "tools/call")]


async def test_a_too_large_message_without_an_id_is_only_refused() -> None:
    app = App()
    peer = Peer(b'{"params":{"id":8}', b" " * 700, b"}", path="/messages/", length=800)
    assert await ask(Bodies(app, 5, largest=100), peer) == 413
    assert app.bodies == []


async def test_nobody_reads_on_for_ever() -> None:
    peer = Peer(*[b"x" * 100] * 100, path="/messages/", length=10**12)
    assert await ask(Bodies(App(), 5, largest=100), peer) == 413
    assert len(peer.pieces) > 90


async def test_what_bodies_hold_together_is_limited_and_given_back() -> None:
    app = App()
    app.hold = anyio.Event()
    bodies = Bodies(app, 5, largest=100, at_once=240, small=0)
    body = json.dumps({"a": "x" * 70}).encode()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, bodies, Peer(body, length=len(body)))
        await anyio.wait_all_tasks_blocked()
        second = Peer(body, length=len(body))
        assert await ask(bodies, second) == 503
        assert any(name == b"retry-after" for name, _ in second.got[0]["headers"])
        app.hold.set()
    assert await ask(bodies, Peer(body)) == 200


async def test_one_caller_takes_at_most_half_of_the_room_and_small_bodies_always_have_some() -> None:
    app = App()
    app.hold = anyio.Event()
    bodies = Bodies(app, 5, largest=100, at_once=200, small=50)
    body = json.dumps({"a": "x" * 80}).encode()
    small = Peer(b"{}", length=2)

    def large(name: str) -> Peer:
        peer = Peer(body, length=len(body))
        peer.scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))
        return peer

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, bodies, large("ann"))
        await anyio.wait_all_tasks_blocked()
        assert await ask(bodies, large("ann")) == 503
        for peer in (large("bob"), small):
            tasks.start_soon(ask, bodies, peer)
        await anyio.wait_all_tasks_blocked()
        assert len(app.bodies) == 3
        assert await ask(bodies, large("cleo")) == 503
        app.hold.set()
    assert await ask(bodies, large("ann")) == 200


async def test_a_body_of_more_values_than_any_call_has_is_not_even_parsed() -> None:
    app = App()
    crowd = b"[" + b"[]," * MOST_VALUES + b"[]]"
    assert await ask(Bodies(app, 5), Peer(b'{"a":', crowd, b"}")) == 400
    assert app.bodies == []


async def test_a_client_that_leaves_in_its_body_is_forgotten() -> None:
    app = App()
    peer = Peer(b"{")
    peer.pieces.append(b"")
    gone = Peer()
    await Bodies(app, 5)(gone.scope, gone.receive, gone.send)
    assert (gone.got, app.bodies) == ([], [])


async def test_a_body_that_trickles_is_refused_though_each_piece_is_in_time() -> None:
    class Trickle(Peer):
        async def receive(self) -> Message:
            await anyio.sleep(0.03)
            return {"type": "http.request", "body": b" ", "more_body": True}

    began = time.monotonic()
    assert await ask(Bodies(App(), 0.2, slowest=1000), Trickle()) == 408
    assert time.monotonic() - began < 5


async def test_while_a_replica_ends_new_calls_go_elsewhere_and_it_is_not_ready(
    emulator: Emulator, redis_url: str
) -> None:
    emulator.app.faults.add(fault(delay=2.0))
    variables = {"NOVITA_BASE_URL": emulator.url, "SEEDREAM_STORE_URL": f"{redis_url}/15"}
    with running(*SERVE, wait_for="listening on", **variables) as (url, process):
        base = url.removesuffix("/mcp")
        async with Client(url, mode="legacy") as client, httpx.AsyncClient(headers=ACCEPT) as http:
            made: list[Any] = []

            async def call() -> None:
                made.append(await client.call_tool("generate_image", {"prompt": "x"}))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                while not emulator.app.store._records:  # noqa: ASYNC110 - another process
                    await anyio.sleep(0.02)
                process.terminate()
                while (ready := await http.get(f"{base}/readyz")).status_code == 200:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
                refused = await http.post(url, json={**PING, "method": "tools/call"})
                other = await http.post(url, json=PING)
                alone = await http.post(url, content=b"{")
                alive = await http.get(f"{base}/healthz")
        assert process.wait(20) == 0
    assert not made[0].is_error
    assert ready.json()["running"] is False
    assert (refused.status_code, refused.headers["connection"]) == (503, "close")
    assert "retry-after" in refused.headers
    assert (other.status_code, alone.status_code) == (400, 400)  # the transport's own words: they got through
    assert alive.status_code == 200
