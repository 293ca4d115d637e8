"""Real sockets: a proxy, a custom CA, a host that is not there, and one that never answers."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
import trustme
from mcp import Client, StdioServerParameters

from mcp_server.emulator import Emulator
from mcp_server.sockets import listen
from tests.conftest import child_environment, connect, fault, text_of
from tests.test_stdio import stdio

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(handler: object, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server on a free port of loopback; its port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Proxy:
    """A proxy that connects where it is asked to, and notes it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        self.asked.append(f"{method} {target}")
        host, _, port = target.removeprefix("http://").partition("/")[0].rpartition(":")
        upstream_reader, upstream = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            upstream.write(head.replace(f"http://{host}:{port}".encode(), b"", 1))
        await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer), return_exceptions=True)


@asynccontextmanager
async def tls_in_front_of(emulator: Emulator, authority: trustme.CA) -> AsyncIterator[int]:
    """A TLS server that hands everything to the emulator; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(emulator.url.rpartition(":")[2])
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer), return_exceptions=True)

    async with serving(handle, context) as port:
        yield port


async def call(parameters: StdioServerParameters) -> tuple[bool, str]:
    async with Client(parameters) as client:
        result = await client.call_tool("generate_image", {"prompt": "x"})
    return result.is_error, text_of(result)


async def test_a_plain_proxy_from_the_environment_is_used(emulator: Emulator) -> None:
    proxy = Proxy()
    async with serving(proxy) as port:
        failed, _ = await call(
            stdio(NOVITA_BASE_URL=emulator.url, HTTP_PROXY=f"http://127.0.0.1:{port}", NO_PROXY="")
        )
    assert not failed
    assert proxy.asked == [f"POST {emulator.url}/v3/seedream-4.0"]


async def test_https_through_a_proxy_with_a_custom_ca(emulator: Emulator, tmp_path: Path) -> None:
    authority, proxy = trustme.CA(), Proxy()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with tls_in_front_of(emulator, authority) as tls_port, serving(proxy) as port:
        failed, text = await call(
            stdio(
                NOVITA_BASE_URL=f"https://localhost:{tls_port}",
                HTTPS_PROXY=f"http://127.0.0.1:{port}",
                SSL_CERT_FILE=str(tmp_path / "ca.pem"),
            )
        )
    assert not failed, text
    assert proxy.asked == [f"CONNECT localhost:{tls_port}"]


async def test_a_certificate_of_an_unknown_ca_is_refused_and_nothing_is_sent(emulator: Emulator) -> None:
    async with tls_in_front_of(emulator, trustme.CA()) as port:
        async with connect(NOVITA_BASE_URL=f"https://localhost:{port}") as client:
            text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[upstream_unavailable]")
    assert "SSL_CERT_FILE" in text
    assert text.endswith("Billed: no")
    assert emulator.app.store.requests == 0


async def test_a_proxy_that_refuses_means_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with serving(refuse) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{port}")
        async with connect() as client:
            text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[upstream_unavailable]")
    assert "hunter2" not in text
    assert len(asked) == 4


async def test_a_host_that_is_not_there_is_unavailable_and_billed_nothing() -> None:
    with listen("127.0.0.1", 0) as gone:
        port = gone.getsockname()[1]
    async with connect(NOVITA_BASE_URL=f"http://127.0.0.1:{port}") as client:
        text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[upstream_unavailable]")
    assert text.endswith("Billed: no")


async def test_a_name_that_does_not_resolve_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)  # the machine's network, not our code
    async with connect(NOVITA_BASE_URL="https://api.invalid") as client:
        text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[upstream_unavailable]")


async def test_an_upstream_that_never_answers_is_an_unknown_outcome_asked_once() -> None:
    asked = anyio.Semaphore(0)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.release()
        await reader.read()
        writer.close()

    async with serving(silent) as port:
        async with connect(
            NOVITA_BASE_URL=f"http://127.0.0.1:{port}", SEEDREAM_TIMEOUT_SECONDS="0.3"
        ) as client:
            text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[outcome_unknown]")
    assert "Billed: unknown" in text
    assert asked.value == 1


@pytest.mark.parametrize("drop", ["before_body", "after_body", "mid_reply"])
async def test_a_connection_lost_after_sending_is_an_unknown_outcome_asked_once(
    drop: str, emulator: Emulator
) -> None:
    emulator.app.faults.add(fault(drop=drop, times=5))
    async with connect(NOVITA_BASE_URL=emulator.url) as client:
        text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[outcome_unknown]")
    assert emulator.app.store.requests == 1


async def test_the_wrong_key_is_told_to_a_person(emulator: Emulator) -> None:
    async with connect(NOVITA_BASE_URL=emulator.url, NOVITA_API_KEY="invalid-key") as client:
        text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[authentication]")
    assert "a person" in text
    assert "invalid-key" not in text


async def test_the_embedded_emulator_is_reached_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with connect(SEEDREAM_EMULATOR="1") as client:
        assert not (await client.call_tool("generate_image", {"prompt": "x", "preview": True})).is_error
    assert "HTTP_PROXY" in child_environment()
