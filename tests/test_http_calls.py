"""Calls over Streamable HTTP and SSE that are cancelled, or whose client is gone at once: nothing is lost."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from mcp_server.emulator import Emulator
from tests.conftest import INITIALIZE, eventually, running
from tests.test_endings import at_work

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {"name": "generate_image", "arguments": {"prompt": "x"}}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": ASKED}


@contextmanager
def server(emulator: Emulator, folder: Path) -> Iterator[str]:
    """The base URL of a server process that speaks both transports, and has the emulator as its API."""
    store = f"sqlite:///{folder / 'ledger.db'}"
    arguments = ("serve", "--transport", "http", "--port", "0")
    with running(
        *arguments, wait_for="listening on", NOVITA_BASE_URL=emulator.url, SEEDREAM_STORE_URL=store
    ) as (url, _):
        yield url.removesuffix("/mcp")


@asynccontextmanager
async def client(base: str, path: str, era: str) -> AsyncIterator[Client]:
    async with Client(sse_client(base + path) if path == "/sse" else base + path, mode=era) as connected:
        yield connected


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_cancelled_call_is_made_all_the_same_and_the_next_identical_one_gets_it(
    path: str, era: str, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.app._latency = 0.5
    made: dict[str, Any] = {}
    heard: list[float] = []
    under_way = anyio.Event()

    async def hear(progress: float, _total: float | None, message: str | None) -> None:
        assert heard or emulator.app.store.billed_requests == 0  # at once, and not with the result
        heard.append(progress)
        if message and "1 image" in message:
            under_way.set()

    with server(emulator, tmp_path) as base:
        async with client(base, path, era) as caller, anyio.create_task_group() as others:

            async def call(prompt: str, progress: Any = None) -> None:
                arguments = {"prompt": prompt}
                result = await caller.call_tool("generate_image", arguments, progress_callback=progress)
                made[prompt] = result.structured_content

            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(call, "x", hear)
                await under_way.wait()
                others.start_soon(call, "y")
                await at_work(emulator, 2)
                cancelled.cancel_scope.cancel()
            assert not made
            await call("x")
    assert made["x"]["recovered"] is True
    assert made["y"]["recovered"] is False  # the other call of the same session went on
    assert emulator.app.store.billed_requests == 2
    assert heard[0] == 0
    assert len(heard) > 1
    assert heard == sorted(set(heard))


def call_of(era: str) -> dict[str, Any]:
    """The message of a call; in the newer era it says by itself who calls."""
    if era == "legacy":
        return CALL
    meta = {"protocolVersion": era, "clientInfo": {"name": "gone", "version": "1"}, "clientCapabilities": {}}
    named = {f"io.modelcontextprotocol/{key}": value for key, value in meta.items()}
    return CALL | {"params": ASKED | {"_meta": named}}


async def send(
    base: str, method: str, path: str, headers: dict[str, str] | None = None, message: object = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request on a connection of its own, whose reply is still to come."""
    host, body = urlsplit(base), json.dumps(message)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", body]).encode())
    return reader, writer


async def leave_mcp(base: str, era: str, emulator: Emulator) -> None:
    """Begin a call, and drop its connection."""
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if era == "legacy":
        async with httpx.AsyncClient(base_url=base, headers=headers) as http:
            begun = await http.post("/mcp", json=INITIALIZE)
        headers["Mcp-Session-Id"] = begun.headers["Mcp-Session-Id"]
    else:
        headers |= {"MCP-Protocol-Version": era, "Mcp-Method": "tools/call", "Mcp-Name": ASKED["name"]}
    _, writer = await send(base, "POST", "/mcp", headers, call_of(era))
    await at_work(emulator)
    writer.transport.abort()


async def leave_sse(base: str, era: str, emulator: Emulator) -> None:
    """Begin a call, and drop the connection that its session is."""
    reader, writer = await send(base, "GET", "/sse")
    while not (line := await reader.readline()).startswith(b"data: "):
        assert line
    messages = line.removeprefix(b"data: ").decode().strip()
    async with httpx.AsyncClient(base_url=base) as http:
        for message in [INITIALIZE, call_of(era)] if era == "legacy" else [call_of(era)]:
            assert (await http.post(messages, json=message)).status_code == 202
    await at_work(emulator)
    writer.transport.abort()


@pytest.mark.parametrize("leave", [leave_mcp, leave_sse])
async def test_a_connection_that_is_dropped_in_mid_call_abandons_it(
    leave: Any, era: str, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.app._latency = 0.5
    with server(emulator, tmp_path) as base:
        with anyio.fail_after(10):
            await leave(base, era, emulator)
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:

            async def noticed() -> bool:
                return bool(file.execute("SELECT abandoned FROM generations").fetchone()[0])

            await eventually(noticed)
        async with client(base, "/mcp", era) as caller:
            result = await caller.call_tool(ASKED["name"], ASKED["arguments"])
    assert result.structured_content["recovered"] is True
    assert emulator.app.store.billed_requests == 1
