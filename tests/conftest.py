"""Fixtures: a clean environment, an emulator, and clients in memory and over real transports."""

import base64
import io
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import hypothesis
import pytest
from mcp import Client
from mcp.client.extension import advertise
from PIL import Image

from mcp_server.emulator import Emulator
from mcp_server.emulator.faults import Fault
from mcp_server.environment import read_settings
from mcp_server.generations import Generation, Generations
from mcp_server.server import SeedreamServer
from mcp_server.settings import Settings
from mcp_server.sockets import listen

# How long an example takes says more about the machine than about what is tested.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

OPENING = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": OPENING}
"""The first words of a client of the older era, where a test speaks for itself."""

KEY = "sk_live_THIS-IS-THE-SECRET"
PREFIXES = ("SEEDREAM_", "NOVITA_", "OTEL_")
PROXY_AND_CA = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

ERAS = ("legacy", "2026-07-28")
"""The SDK client's modes for the two protocol eras: the handshake, and the stateless one."""


posix = pytest.mark.skipif(os.name == "nt", reason="Windows lacks these signals, links or paths")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The tests that share a browser are one worker's for a minute: begun last, the others would wait for it.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting, proxy or CA of whoever runs the tests, and not their ledger."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    for name in list(os.environ):
        if name.startswith(PREFIXES) or name.upper() in PROXY_AND_CA:
            monkeypatch.delenv(name)


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_settings(**variables: str) -> Settings:
    """Settings with a key, and the variables given."""
    return read_settings({"NOVITA_API_KEY": KEY, "SEEDREAM_STORE_URL": "memory://"} | variables)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator in this process, over real HTTP."""
    instance = Emulator()
    async with anyio.create_task_group() as tasks:
        await tasks.start(instance.serve)
        yield instance
        tasks.cancel_scope.cancel()


APPS = advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/html;profile=mcp-app"]})
"""What the client of a host that draws MCP Apps declares."""


@asynccontextmanager
async def connect(
    *, transport: httpx.AsyncBaseTransport | None = None, mode: str = "legacy", **variables: str
) -> AsyncIterator[Client]:
    """A client of a server in memory, with `variables` as its environment."""
    async with host({"mode": mode}, transport=transport, **variables) as client:
        yield client


@asynccontextmanager
async def host(
    options: dict[str, Any], *, transport: httpx.AsyncBaseTransport | None = None, **variables: str
) -> AsyncIterator[Client]:
    """The same, with `options` of `Client`: what a certain host declares."""
    async with Generations(make_settings(**variables), transport=transport, sleep=no_sleep) as generations:
        async with Client(SeedreamServer(generations), **options) as client:
            yield client


async def no_sleep(_seconds: float) -> None:
    """Stands in for the waiting between attempts."""


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `check` says so: for what happens elsewhere, where there is no event to wait for."""
    with anyio.fail_after(20):
        while not await check():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.02)


def answering(*replies: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A network that gives the replies in turn, the last one ever after; and the requests it got."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        reply = replies[min(len(requests), len(replies) - 1)]
        requests.append(request)
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    return httpx.MockTransport(handle), requests


def pictures(*urls: str) -> httpx.Response:
    """The API's success."""
    return httpx.Response(200, json={"images": list(urls or ("https://cdn.example.com/a.jpg?sig=%2F%3D",))})


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis or Valkey of the tests' own, on a free port."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextmanager
def redis_server(folder: Path, port: int = 0) -> Iterator[str]:
    """A server that keeps what it is told in `folder`, as an append-only file; its URL."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("NOT TESTED: there is no redis-server or valkey-server on this machine")
    if not port:
        with listen("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--dir", str(folder)]
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert any("Ready to accept connections" in line for line in process.stdout)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()


NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Clock:
    """The time, as a test sets it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


def a_generation(**fields: Any) -> Generation:
    """A row of the ledger that has just begun, with the fields given."""
    values: dict[str, Any] = {
        "id": secrets.token_hex(8),
        "caller": "local",
        "fingerprint": "f",
        "owner": "a",
        "waiter": fields.get("owner", "a"),
        "model": "seedream-4.0",
        "prompt": "x",
        "requested": {"prompt": "x", "size": "2K", "watermark": False},
        "emulated": False,
        "most": 1,
        "counted": fields.get("most", 1),
        "created": datetime.now(UTC),
    }
    return Generation(**values | fields)


def text_of(result: object) -> str:
    """The text of a tool result's first block."""
    return str(result.content[0].text)  # type: ignore[attr-defined]


def image_bytes(width: int, height: int, kind: str = "JPEG", padding: int = 0) -> bytes:
    """A real picture, with `padding` bytes behind its end."""
    output = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(output, kind)
    return output.getvalue() + b"\0" * padding


def data_uri(data: bytes, label: str = "image/jpeg") -> str:
    return f"data:{label};base64,{base64.b64encode(data).decode()}"


def fault(**fields: object) -> Fault:
    return Fault.model_validate(fields)


def child_environment(**variables: str) -> dict[str, str]:
    """The environment of a server process that a test starts."""
    return {**os.environ, "NOVITA_API_KEY": KEY, "PYTHONUNBUFFERED": "1"} | variables


@contextmanager
def running(*arguments: str, wait_for: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`mcp-server-seedream` with `arguments`: the URL in the first line that has `wait_for`, the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_server", *arguments],
        env=child_environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if wait_for in line:
                yield line.split()[-1], process
                break
        else:
            pytest.fail(f"the process ended with {process.wait()}")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
