"""Two servers behind one address: any of them serves any request, and nothing is lost between them."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, NamedTuple

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult

from mcp_server.emulator import Emulator
from mcp_server.http.layers import _one_reply
from mcp_server.http.replicas import Facts, Mail, Replicas
from mcp_server.http.sessions import Sessions
from tests.conftest import INITIALIZE, OPENING, data_uri, eventually, fault, image_bytes, running, text_of

pytestmark = pytest.mark.anyio

ANN, BOB = "ann-token-0123456789", "bob-token-0123456789"
SERVE = ("serve", "--transport", "http", "--port", "0")
databases = itertools.count()


HEADERS = {"Authorization": f"Bearer {ANN}", "Accept": "application/json, text/event-stream"}


def initialize(params: Any = OPENING) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


class Pair(NamedTuple):
    """The base URLs of two replicas, and their processes."""

    urls: list[str]
    processes: list[Any]


@pytest.fixture
def pair(redis_url: str, emulator: Emulator) -> Iterator[Pair]:
    variables = {
        "NOVITA_BASE_URL": emulator.url,
        "SEEDREAM_STORE_URL": f"{redis_url}/{next(databases) % 16}",
        "SEEDREAM_HTTP_TOKENS": json.dumps({"ann": ANN, "bob": BOB}),
        "SEEDREAM_CONFIRM_ABOVE": "2",
    }
    with ExitStack() as stack:
        started = [
            stack.enter_context(running(*SERVE, wait_for="listening on", **variables)) for _ in range(2)
        ]
        yield Pair([url.removesuffix("/mcp") for url, _ in started], [process for _, process in started])


class Balancer(httpx2.AsyncHTTPTransport):
    """Sends each request to the next of the replicas, or where `choose` says."""

    def __init__(self, pair: Pair, choose: Callable[[httpx2.Request], int] | None = None) -> None:
        super().__init__()
        self._urls = [httpx2.URL(url) for url in pair.urls]
        turns = itertools.count()
        self._choose = choose or (lambda _: next(turns) % 2)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=self._urls[self._choose(request)].port)
        return await super().handle_async_request(request)


@asynccontextmanager
async def client_of(
    pair: Pair,
    transport: str = "http",
    mode: str = "legacy",
    token: str = ANN,
    choose: Callable[[httpx2.Request], int] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    balancer = Balancer(pair, choose)

    def factory(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(headers=headers, timeout=timeout, transport=balancer)

    headers = {"Authorization": f"Bearer {token}"}
    if transport == "sse":
        server = sse_client(f"{pair.urls[0]}/sse", headers=headers, httpx_client_factory=factory)
        async with Client(server, mode=mode, **options) as client:
            yield client
    else:
        async with httpx2.AsyncClient(transport=balancer, headers=headers, timeout=60) as http:
            server = streamable_http_client(f"{pair.urls[0]}/mcp", http_client=http)
            async with Client(server, mode=mode, **options) as client:
                yield client


async def take(most: int, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    for _ in range(most):
        yield await anext(lines)


def billed(emulator: Emulator, prompt: str) -> int:
    records = emulator.app.store._records.values()
    return sum(record.billed_images for record in records if record.wanted and record.wanted.prompt == prompt)


def of(request: httpx2.Request) -> str | None:
    """The method of the message in a request."""
    if request.method != "POST":
        return None
    method = json.loads(request.content).get("method")
    return str(method) if method else None


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_requests_of_one_client_go_to_either_in_both_eras(pair: Pair, transport: str, era: str) -> None:
    heard: list[str | None] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with client_of(pair, transport, era) as client:
        assert len((await client.list_tools()).tools) == 3
        large = data_uri(image_bytes(64, 64, padding=3 * 1024**2))
        for prompt in ("x", "elicitation/create"):  # which is looked for in what goes out
            result = await client.call_tool("generate_image", {"prompt": prompt}, progress_callback=listen)
            assert not result.is_error
        made = await client.call_tool("edit_image", {"prompt": "x", "images": [large]})
        assert made.structured_content is not None
        uri = f"seedream://generations/{made.structured_content['generation_id']}/1"
        assert (await client.read_resource(uri)).contents
        listed = (await client.call_tool("list_images", {})).structured_content
    assert listed is not None
    assert len(listed["generations"]) == 3
    assert len(heard) >= 2


async def test_a_session_belongs_to_its_caller_and_ids_cannot_be_made_up(pair: Pair) -> None:
    large = OPENING | {"capabilities": {"experimental": {"x": {"y": "z" * 9000}}}}
    initialize = INITIALIZE | {"params": large}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    one, other = (f"{url}/mcp" for url in pair.urls)
    headers = {"Authorization": f"Bearer {ANN}", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(headers=headers) as http:
        opened = await http.post(one, json=initialize)
        session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
        assert len(session["Mcp-Session-Id"]) < 2000
        stolen = await http.post(other, json=listing, headers={**session, "Authorization": f"Bearer {BOB}"})
        assert stolen.status_code == 404
        made_up = await http.post(other, json=listing, headers={"Mcp-Session-Id": "v1.AAAA"})
        assert made_up.status_code == 404
        mine = await http.post(other, json=listing, headers=session)
        assert (mine.status_code, mine.headers["Mcp-Session-Id"]) == (200, session["Mcp-Session-Id"])
        assert "generate_image" in mine.text
        closing = await http.post(one, json=initialize)
        closed = {"Mcp-Session-Id": closing.headers["Mcp-Session-Id"]}
        assert (await http.post(other, json=listing, headers=closed)).status_code == 200
        assert (await http.delete(other, headers=closed)).status_code == 200

        async def is_gone() -> bool:
            return (await http.post(one, json=listing, headers=closed)).status_code == 404

        await eventually(is_gone)  # the other hears of it
        assert (await http.post(other, json=listing, headers=closed)).status_code == 404
        strange = {"jsonrpc": "2.0", "id": f"{'0' * 8}.1", "result": {}}
        assert (await http.post(one, json=strange, headers=session)).status_code == 404
        news = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "y" * 70_000}}
        assert (await http.post(one, json=news, headers=session)).status_code == 413
        assert (await http.post(one, json=listing)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [b"\xff", b"", b"[]", '{"jsonrpc":"2.0","method":"x"}'.encode("utf-16"), b'{"method":"\xed\xa0\x80"}'],
)
async def test_what_is_no_message_is_refused_in_a_session_too(pair: Pair, body: bytes) -> None:
    headers = {**HEADERS, "Content-Type": "application/json"}
    async with httpx2.AsyncClient(headers=headers) as http:
        opened = await http.post(f"{pair.urls[0]}/mcp", json=initialize())
        session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
        for url in pair.urls:
            assert (await http.post(f"{url}/mcp", content=body, headers=session)).status_code == 400


async def test_an_opening_that_is_none_is_answered_and_its_session_holds_nothing(pair: Pair) -> None:
    large = {"capabilities": {"experimental": {"x": {"y": "z" * 200_000}}}, "protocolVersion": ["1"] * 9000}
    async with httpx2.AsyncClient(headers=HEADERS) as http:
        for params in (None, [["a"]], "x", {}, large):
            opened = await http.post(f"{pair.urls[0]}/mcp", json=initialize(params))
            assert opened.status_code in (200, 400)
            session = {"Mcp-Session-Id": opened.headers.get("Mcp-Session-Id", "x")}
            ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            for url in pair.urls:
                assert (await http.post(f"{url}/mcp", json=ping, headers=session)).status_code in (200, 404)


async def test_what_was_sealed_for_another_use_is_no_session(pair: Pair) -> None:
    about = {"protocolVersion": "2026-07-28", "clientInfo": {"name": "x", "version": "1"}}
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}
    meta["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
    arguments = {"prompt": "x", "sequential_image_generation": "auto", "max_images": 3}
    params = {"name": "generate_image", "arguments": arguments, "_meta": meta}
    newer = {
        "Mcp-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "generate_image",
    }
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx2.AsyncClient(headers=HEADERS) as http:
        asked = await http.post(f"{pair.urls[0]}/mcp", json=call, headers=newer)
        state = asked.json()["result"]["requestState"]
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        reply = await http.post(f"{pair.urls[0]}/mcp", json=ping, headers={"Mcp-Session-Id": state})
    assert reply.status_code == 404


async def test_no_message_ends_a_replica(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    one, other = Replicas(redis_url, "{x}:"), Replicas(redis_url, "{x}:")

    async def deliver(mail: Mail) -> Facts:
        if mail.body == b"odd":
            raise ZeroDivisionError
        return {"status": 200, "got": mail.body.decode()}

    async with anyio.create_task_group() as tasks:
        await tasks.start(one.run, deliver)
        for odd in ("x", "[]", "{}", json.dumps({"from": one.id}), json.dumps({"body": "odd"})):
            await other._redis.publish("{x}:replicas", odd)
        assert await other.send(one.id, Mail({}, b"x")) == {"status": 200, "got": "x"}
        tasks.cancel_scope.cancel()
    await one.aclose()
    await other.aclose()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [anyio.ClosedResourceError, anyio.BrokenResourceError, ValueError])
async def test_a_message_that_was_accepted_for_a_session_that_ends_is_no_fault(
    error: type[Exception],
) -> None:
    started = True
    got: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 202, "headers": []})
        raise error

    async def send(message: Any) -> None:
        got.append(message)

    await _one_reply(app)({"type": "http", "method": "POST"}, anyio.sleep_forever, send)  # type: ignore[arg-type]
    assert [message.get("status") for message in got] == [202, None]  # and its end
    started = False
    with pytest.raises(error):
        await _one_reply(app)({"type": "http", "method": "POST"}, anyio.sleep_forever, send)  # type: ignore[arg-type]


async def test_a_client_that_reads_no_reply_holds_up_nobody_else() -> None:
    opened = anyio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"mcp-session-id", b"i")]})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(initialize()).encode()}

    async def never(_message: Any) -> None:
        opened.set()
        await anyio.sleep_forever()

    got: list[Any] = []

    async def read(message: Any) -> None:
        got.append(message)

    replicas = Replicas("redis://127.0.0.1:1")
    sessions = Sessions(app, replicas)
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": []}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sessions, dict(scope), receive, never)
        await opened.wait()
        with anyio.fail_after(5):
            await sessions(dict(scope), receive, read)
            token = dict(got[0]["headers"])[b"mcp-session-id"]
            await sessions({**scope, "headers": [(b"mcp-session-id", token)]}, receive, read)
        tasks.cancel_scope.cancel()
    await replicas.aclose()
    assert [message["status"] for message in got if "status" in message] == [200, 200]


async def test_where_there_is_no_room_for_a_session_that_is_said_and_another_try_may_have_it() -> None:
    full = True

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [] if full else [(b"mcp-session-id", b"i")]
        await send({"type": "http.response.start", "status": 503 if full else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"jsonrpc":"2.0","id":1,"method":"ping"}'}

    got: list[Any] = []

    async def read(message: Any) -> None:
        got.append(message)

    replicas = Replicas("redis://127.0.0.1:1")
    sessions = Sessions(app, replicas)
    token = sessions._seal({}, "http").encode()
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": [(b"mcp-session-id", token)]}
    await sessions(dict(scope), receive, read)
    full = False
    await sessions(dict(scope), receive, read)
    await replicas.aclose()
    assert [message["status"] for message in got if "status" in message] == [503, 200]


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_cancellation_reaches_the_call_at_the_other_and_the_next_one_recovers_it(
    pair: Pair, emulator: Emulator, transport: str
) -> None:
    emulator.app.faults.add(fault(delay=2.0))

    def choose(request: httpx2.Request) -> int:
        return 1 if of(request) in ("notifications/cancelled", "tools/list") else 0

    arguments = {"prompt": "a fox"}
    async with client_of(pair, transport, choose=choose) as client:
        with pytest.raises(Exception, match=r"[Tt]imed out"):
            await client.call_tool("generate_image", arguments, read_timeout_seconds=0.7)
    async with client_of(pair, transport, choose=lambda _: 1) as client:
        again = (await client.call_tool("generate_image", arguments)).structured_content
    assert again is not None
    assert again["recovered"] is True
    assert billed(emulator, "a fox") == 1


@pytest.mark.parametrize("other", [0, 1])
async def test_a_persons_answer_reaches_the_call_that_asked_whichever_gets_it(
    pair: Pair, era: str, other: int
) -> None:
    asked: list[str] = []

    async def answer(_context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"proceed": True})

    def choose(request: httpx2.Request) -> int:
        # A first call at one; its answer, or the call that is made again with it, at the other.
        if of(request) == "tools/call":
            return 0 if b"requestState" not in request.content else other
        return other

    arguments = {"prompt": "x", "sequential_image_generation": "auto", "max_images": 3}
    async with client_of(pair, mode=era, choose=choose, elicitation_callback=answer) as client:
        made = await client.call_tool("generate_image", arguments)
    assert not made.is_error, text_of(made)
    assert len(asked) == 1


async def test_an_sse_session_ends_with_its_replica_and_says_so(pair: Pair) -> None:
    headers = {"Authorization": f"Bearer {ANN}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        async with http.stream("GET", f"{pair.urls[0]}/sse") as stream:
            lines = [line async for line in take(2, stream.aiter_lines())]
        endpoint = lines[1].removeprefix("data: ")
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await http.post(f"{pair.urls[1]}{endpoint}", json=ping)).status_code == 404
        pair.processes[0].kill()
        pair.processes[0].wait()
        assert (await http.post(f"{pair.urls[1]}{endpoint}", json=ping)).status_code == 404


async def test_after_a_kill_the_same_call_elsewhere_is_told_of_the_doubt_before_it_pays_again(
    pair: Pair, emulator: Emulator
) -> None:
    emulator.app.faults.add(fault(delay=3.0))
    arguments = {"prompt": "a wolf"}
    killed = anyio.Event()

    async def first() -> None:
        with pytest.raises(BaseException, match=r"."):
            async with client_of(pair, choose=lambda _: 0) as client:
                await client.call_tool("generate_image", arguments)

    async def posted() -> bool:
        return bool(emulator.app.store._records)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await eventually(posted)
        pair.processes[0].kill()
        killed.set()
    emulator.app.faults.clear()
    async with client_of(pair, choose=lambda _: 1) as client:
        told = await client.call_tool("generate_image", arguments)
        assert text_of(told).startswith("[outcome_unknown]")
        assert "Billed: unknown" in text_of(told)
        assert len(emulator.app.store._records) == 1
        again = (await client.call_tool("generate_image", arguments)).structured_content
    assert again is not None
    assert again["recovered"] is False
    assert any("may have been billed" in warning for warning in again["warnings"])


async def test_a_rolling_restart_loses_no_result(pair: Pair, emulator: Emulator) -> None:
    emulator.app.faults.add(fault(delay=1.5, share=1.0))
    results: list[Any] = []

    async def call(number: int) -> None:
        async with client_of(pair, choose=lambda _: number % 2) as client:
            results.append(await client.call_tool("generate_image", {"prompt": f"{number}"}))

    async def under_way() -> bool:
        return len(emulator.app.store._records) == 4

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(call, number)
        await eventually(under_way)
        pair.processes[0].terminate()
    assert pair.processes[0].wait(20) == 0
    assert [result.is_error for result in results] == [False] * 4
