"""Streamable HTTP and SSE on loopback: real servers, the SDK's clients, both protocol eras."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from mcp_server.http.layers import _one_reply
from mcp_server.sockets import listen
from tests.conftest import INITIALIZE, child_environment, data_uri, image_bytes, posix, running, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The base URL of a server that speaks both, with the embedded emulator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        arguments = ("serve", "--transport", "http", "--port", "0")
        with running(*arguments, wait_for="listening on", SEEDREAM_EMULATOR="1") as (url, _):
            yield url.removesuffix("/mcp")


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_both_tools_work_over_both_transports_in_both_eras(base: str, transport: str, era: str) -> None:
    heard: list[float] = []

    async def listen_to(progress: float, total: float | None, message: str | None) -> None:
        assert message is not None
        assert total is None
        heard.append(progress)

    server = sse_client(f"{base}/sse") if transport == "sse" else f"{base}/mcp"
    async with Client(server, mode=era) as client:
        assert len((await client.list_tools()).tools) == 3
        made = await client.call_tool("generate_image", {"prompt": "a fox"}, progress_callback=listen_to)
        link = made.structured_content["images"][0]["url"]
        # 5 MB: the SDK's own limit on a body is 4 MiB
        large = data_uri(image_bytes(64, 64, padding=5 * 1024**2))
        edited = await client.call_tool("edit_image", {"prompt": "a wolf", "images": [link, large]})
        wrong = await client.call_tool("generate_image", {"prompt": "x", "size": "1x1"})
    assert heard
    assert not edited.is_error
    assert text_of(wrong).startswith("[invalid_argument] size:")


async def test_the_sse_transport_alone_serves_no_streamable_http() -> None:
    arguments = ("serve", "--transport", "sse", "--port", "0")
    with running(*arguments, wait_for="listening on", SEEDREAM_EMULATOR="1") as (url, _):
        async with Client(sse_client(url), mode="legacy") as client:
            assert len((await client.list_tools()).tools) == 3
        async with httpx.AsyncClient() as http:
            assert (await http.post(url.replace("/sse", "/mcp"), json={})).status_code == 404


@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
async def test_a_foreign_host_or_origin_is_refused(base: str, path: str) -> None:
    async with httpx.AsyncClient() as http:
        rebound = await http.post(base + path, json={}, headers={"Host": "evil.example"})
        foreign = await http.post(base + path, json={}, headers={"Origin": "https://evil.example"})
    assert (rebound.status_code, foreign.status_code) == (421, 403)


def test_a_refused_request_leaves_no_traceback_and_the_address_given_is_a_legal_host() -> None:
    arguments = ("serve", "--transport", "sse", "--port", "0", "--host", "127.0.0.2")
    with running(*arguments, wait_for="listening on", SEEDREAM_EMULATOR="1") as (url, process):
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert httpx.get(url, headers=headers).status_code in (421, 403)
        with httpx.stream("GET", url) as stream:
            assert stream.status_code == 200
        process.terminate()
        process.wait(15)
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


async def test_an_error_before_the_reply_is_not_swallowed() -> None:
    async def broken(*_: object) -> None:
        raise ValueError("before")

    with pytest.raises(ValueError, match="before"):
        await _one_reply(broken)({"type": "http"}, None, None)  # type: ignore[arg-type]


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_server", *arguments],
        capture_output=True,
        text=True,
        env=child_environment(),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])  # noqa: S104 - refused
def test_any_other_address_than_loopback_is_refused(transport: str, host: str) -> None:
    done = serve("--transport", transport, "--host", host)
    assert done.returncode == 2
    assert "loopback" in done.stderr
    assert "--host 127.0.0.1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_one_line_and_exit_code_one() -> None:
    with listen("127.0.0.1", 0) as taken:
        done = serve("--transport", "http", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert re.fullmatch(r"mcp-server-seedream: can't listen on port \d+: .*in use.*\n", done.stderr)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_even_while_a_client_is_connected(number: signal.Signals) -> None:
    arguments = ("serve", "--transport", "sse", "--port", "0")
    with running(*arguments, wait_for="listening on", SEEDREAM_EMULATOR="1") as (url, process):
        async with httpx.AsyncClient() as http:
            async with http.stream("GET", url) as stream:
                assert stream.status_code == 200
                process.send_signal(number)
                assert process.wait(15) in (0, -number)
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


def test_a_stream_that_a_client_holds_ends_with_the_server_and_without_a_complaint() -> None:
    arguments = ("serve", "--transport", "http", "--port", "0")
    with running(*arguments, wait_for="listening on", SEEDREAM_EMULATOR="1") as (url, process):
        with httpx.Client(headers={"Accept": "application/json, text/event-stream"}) as http:
            session = http.post(url, json=INITIALIZE).headers["Mcp-Session-Id"]
            with http.stream("GET", url, headers={"Mcp-Session-Id": session}) as stream:
                process.terminate()
                assert stream.status_code == 200
                assert list(stream.iter_lines()) == []
        assert process.wait(15) == 0
        assert process.stdout is not None
        assert "ERROR" not in process.stdout.read()
