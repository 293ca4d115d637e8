"""Who may call over the network, from where; each caller apart from the others."""

import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import PromptReference

from mcp_server.emulator import Emulator
from tests.conftest import INITIALIZE, KEY, child_environment, fault, running, text_of

pytestmark = pytest.mark.anyio

ANN, BOB = "ann-token-0123456789", "bob-token-0123456789"
TOKENS = json.dumps({"ann": ANN, "bob": BOB})
SERVE = ("serve", "--transport", "http", "--port", "0")
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A server for Ann and Bob on all addresses, with the embedded emulator."""
    variables = {
        "SEEDREAM_EMULATOR": "1",
        "SEEDREAM_STORE_URL": "memory://",
        "SEEDREAM_HTTP_TOKENS": TOKENS,
        "SEEDREAM_PUBLIC_URL": "https://images.example.com",
        "SEEDREAM_HTTP_ALLOWED_ORIGINS": "https://app.example.com",
    }
    with running(*SERVE, "--host", "0.0.0.0", wait_for="listening on", **variables) as (url, _):  # noqa: S104
        yield url.removesuffix("/mcp").replace("0.0.0.0", "127.0.0.1")  # noqa: S104


@asynccontextmanager
async def client_of(
    base: str, transport: str, token: str, era: str = "legacy", **headers: str
) -> AsyncIterator[Client]:
    headers |= {"Authorization": f"Bearer {token}"}
    if transport == "sse":
        async with Client(sse_client(f"{base}/sse", headers=headers), mode=era) as client:
            yield client
    else:
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            server = streamable_http_client(f"{base}/mcp", http_client=http)
            async with Client(server, mode=era) as client:
                yield client


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_token_lets_its_caller_in_and_nobody_sees_anothers(
    base: str, transport: str, era: str
) -> None:
    arguments = {"prompt": f"a fox by {transport} in {era}"}
    async with client_of(base, transport, ANN, era) as ann, client_of(base, transport, BOB, era) as bob:
        made = (await ann.call_tool("generate_image", arguments)).structured_content
        assert made is not None
        uri = f"seedream://generations/{made['generation_id']}/1"
        assert (await ann.read_resource(uri)).contents
        with pytest.raises(Exception, match="icture"):
            await bob.read_resource(uri)
        restyle = PromptReference(type="ref/prompt", name="restyle")
        offered = [
            (await one.complete(restyle, {"name": "image", "value": ""})).completion.values
            for one in (ann, bob)
        ]
        assert made["images"][0]["url"] in offered[0]
        assert made["images"][0]["url"] not in offered[1]
        mine, theirs = await ann.call_tool("list_images", {}), await bob.call_tool("list_images", {})
        assert mine.structured_content is not None
        assert theirs.structured_content is not None
        assert arguments["prompt"] in json.dumps(mine.structured_content)
        assert arguments["prompt"] not in json.dumps(theirs.structured_content)


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/?session_id=1", "/docs", "/mcp/"])
@pytest.mark.parametrize("token", [None, "x", ANN[:-1], ANN + "x", "ünïcode"])
def test_without_the_right_token_nothing_is_answered(base: str, path: str, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    method = "GET" if path == "/sse" else "POST"
    reply = httpx.request(method, base + path, headers=headers)  # type: ignore[arg-type]
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_a_session_of_one_caller_is_closed_to_the_other(base: str) -> None:
    headers = {"Accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(base_url=base, headers=headers) as http:
        opened = await http.post("/mcp", json=INITIALIZE, headers={"Authorization": f"Bearer {ANN}"})
        session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
        stolen = await http.post("/mcp", json=PING, headers={**session, "Authorization": f"Bearer {BOB}"})
    assert stolen.status_code == 404


def test_probes_need_no_token_and_tell_little(base: str) -> None:
    host = {"Host": "10.1.2.3:8000"}  # as orchestrators ask
    assert httpx.get(f"{base}/healthz", headers=host).json() == {"status": "ok"}
    assert httpx.get(f"{base}/readyz", headers=host).json() == {
        "status": "ready",
        "store": True,
        "key": True,
        "running": True,
    }


def test_hosts_and_origins_are_held_to_the_lists(base: str) -> None:
    auth = {"Authorization": f"Bearer {ANN}", "Accept": "application/json, text/event-stream"}
    url = f"{base}/mcp"
    for host in ("images.example.com", "images.example.com:443", "localhost:1"):
        assert httpx.post(url, json=PING, headers={**auth, "Host": host}).status_code == 400
    for host in ("evil.example", "images.example.com.evil.example", "images.example.com:x", "localhost:1:2"):
        refused = httpx.post(url, json=PING, headers={**auth, "Host": host})
        assert refused.status_code == 421
        assert "SEEDREAM_HTTP_ALLOWED_HOSTS" in refused.json()["error"]["message"]
    for origin in ("https://app.example.com", "https://images.example.com", "http://localhost:6274"):
        reply = httpx.post(url, json=PING, headers={**auth, "Origin": origin})
        assert (reply.status_code, reply.headers["Access-Control-Allow-Origin"]) == (400, origin)
    for origin in (
        "https://evil.example",
        "http://app.example.com",
        "null",
        "https://app.example.com.evil.example",
    ):
        assert httpx.post(url, json=PING, headers={**auth, "Origin": origin}).status_code == 403


def test_a_page_that_may_use_it_gets_its_preflight_without_a_token(base: str) -> None:
    headers = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,mcp-session-id",
    }
    reply = httpx.options(f"{base}/mcp", headers=headers)
    assert reply.status_code == 200
    assert "authorization" in reply.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_callers_have_budgets_of_their_own(transport: str) -> None:
    variables = {
        "SEEDREAM_EMULATOR": "1",
        "SEEDREAM_STORE_URL": "memory://",
        "SEEDREAM_HTTP_TOKENS": TOKENS,
        "SEEDREAM_IMAGES_PER_DAY": "1",
    }
    with running(*SERVE, wait_for="listening on", **variables) as (url, _):
        base = url.removesuffix("/mcp")
        async with client_of(base, transport, ANN) as ann, client_of(base, transport, BOB) as bob:
            assert not (await ann.call_tool("generate_image", {"prompt": "1"})).is_error
            over = await ann.call_tool("generate_image", {"prompt": "2"})
            assert text_of(over).startswith("[budget_exceeded]")
            assert not (await bob.call_tool("generate_image", {"prompt": "1"})).is_error


async def test_no_caller_recovers_what_another_abandoned(emulator: Emulator) -> None:
    emulator.app.faults.add(fault(delay=1.5))
    variables = {
        "NOVITA_BASE_URL": emulator.url,
        "SEEDREAM_STORE_URL": "memory://",
        "SEEDREAM_HTTP_TOKENS": TOKENS,
    }
    arguments = {"prompt": "a wolf"}
    with running(*SERVE, wait_for="listening on", **variables) as (url, _):
        base = url.removesuffix("/mcp")
        async with client_of(base, "http", ANN) as ann, client_of(base, "http", BOB) as bob:
            with pytest.raises(Exception, match=r"[Tt]imed out"):
                await ann.call_tool("generate_image", arguments, read_timeout_seconds=0.5)
            other = (await bob.call_tool("generate_image", arguments)).structured_content
            own = (await ann.call_tool("generate_image", arguments)).structured_content
    assert other is not None
    assert own is not None
    assert (other["recovered"], own["recovered"]) == (False, True)


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_callers_own_key_pays_where_that_is_allowed(emulator: Emulator, transport: str) -> None:
    variables = {
        "NOVITA_BASE_URL": emulator.url,
        "NOVITA_API_KEY": "",
        "SEEDREAM_HTTP_CALLER_KEYS": "1",
        "SEEDREAM_HTTP_TOKENS": TOKENS,
        "SEEDREAM_STORE_URL": "memory://",
        "SEEDREAM_LOG_LEVEL": "DEBUG",
    }
    with running(*SERVE, wait_for="listening on", **variables) as (url, process):
        base = url.removesuffix("/mcp")
        key = "sk_caller_SECRET"
        async with client_of(base, transport, ANN, **{"X-Novita-Api-Key": key}) as ann:
            assert not (await ann.call_tool("generate_image", {"prompt": "x"})).is_error
        async with client_of(base, transport, ANN, **{"X-Novita-Api-Key": "invalid-SECRET"}) as ann:
            refused = await ann.call_tool("generate_image", {"prompt": "x"})
            assert text_of(refused).startswith("[authentication]")
        async with client_of(base, transport, ANN, **{"X-Novita-Api-Key": "two words"}) as ann:
            assert text_of(await ann.call_tool("generate_image", {"prompt": "x"})).startswith("[invalid_arg")
        async with client_of(base, transport, ANN) as ann:
            assert text_of(await ann.call_tool("generate_image", {"prompt": "x"})).startswith("[not_config")
        process.terminate()
        assert process.stdout is not None
        log = process.stdout.read()
    assert "SECRET" not in log
    assert ANN not in log


async def test_a_callers_own_key_is_refused_where_it_is_not_allowed(base: str) -> None:
    async with client_of(base, "http", ANN, **{"X-Novita-Api-Key": KEY}) as ann:
        refused = text_of(await ann.call_tool("generate_image", {"prompt": "x"}))
    assert refused.startswith("[not_configured]")
    assert "SEEDREAM_HTTP_CALLER_KEYS" in refused
    assert KEY not in refused


def serve(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    import sys

    return subprocess.run(
        [sys.executable, "-m", "mcp_server", *SERVE, *arguments],
        capture_output=True,
        text=True,
        env=child_environment(**variables),
        timeout=60,
        check=False,
    )


def test_a_token_that_can_be_guessed_is_warned_of() -> None:
    variables = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_HTTP_TOKEN": "guess"}
    with running(*SERVE, "--host", "0.0.0.0", wait_for="can be guessed", **variables) as (_, process):  # noqa: S104
        assert process.stdout is not None
        url = next(line.split()[-1] for line in process.stdout if "listening on" in line)
        alive = url.replace("/mcp", "/healthz").replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert httpx.get(alive).status_code == 200


def test_others_may_not_reach_it_without_a_token_and_the_refusal_says_what_to_set() -> None:
    done = serve("--host", "0.0.0.0")  # noqa: S104 - refused
    assert done.returncode == 2
    assert "SEEDREAM_HTTP_TOKEN" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_that_is_another_machines_is_no_matter_of_the_port() -> None:
    done = serve("--host", "192.0.2.77", SEEDREAM_HTTP_TOKEN=ANN)
    assert done.returncode == 1
    assert done.stderr.startswith("mcp-server-seedream: can't listen on '192.0.2.77', port 0: ")


def test_over_stdio_an_address_is_a_misunderstanding() -> None:
    done = serve("--transport", "stdio", "--host", "0.0.0.0")  # noqa: S104 - refused
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mcp-server-seedream: --host and --port need --transport http or sse\n"


def test_what_would_let_nobody_in_is_said_at_the_start() -> None:
    variables = {"NOVITA_API_KEY": "", "SEEDREAM_HTTP_TOKEN": ANN, "SEEDREAM_STORE_URL": "memory://"}
    with running(*SERVE, "--host", "0.0.0.0", wait_for="is answered 421", **variables) as (_, process):  # noqa: S104
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert "NOVITA_API_KEY is not set" in next(lines)
        alive = next(lines).split()[-1].replace("/mcp", "/readyz").replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert httpx.get(alive).json()["key"] is False


def test_oauth_on_all_addresses_needs_the_public_url() -> None:
    done = serve("--host", "0.0.0.0", SEEDREAM_OAUTH_ISSUER="https://issuer.example")  # noqa: S104 - refused
    assert done.returncode == 2
    assert done.stderr.startswith("mcp-server-seedream: SEEDREAM_PUBLIC_URL is missing")


def test_each_request_is_a_line_of_json_with_its_id_and_caller_and_no_secret() -> None:
    variables: dict[str, Any] = {
        "SEEDREAM_EMULATOR": "1",
        "SEEDREAM_STORE_URL": "memory://",
        "SEEDREAM_HTTP_TOKEN": ANN,
        "SEEDREAM_LOG_FORMAT": "json",
    }
    with running(*SERVE, wait_for="listening on", **variables) as (line, process):
        url = line.removesuffix('"}')
        headers = {"Authorization": f"Bearer {ANN}", "X-Request-Id": "given-1"}
        given = httpx.post(f"{url}?secret=1", json=PING, headers=headers)
        made = httpx.post(url.replace("/mcp", "/%0Anext"), headers={"X-Request-Id": "a b"})
        process.terminate()
        assert process.stdout is not None
        lines = [json.loads(line) for line in process.stdout]
    assert given.headers["X-Request-Id"] == "given-1"
    assert re.fullmatch("[0-9a-f]{16}", made.headers["X-Request-Id"])
    first, second = [line for line in lines if line["logger"].endswith("http.log")]
    assert (first["request_id"], first["caller"], first["path"]) == ("given-1", "token", "/mcp")
    assert (second["status"], second["caller"], second["path"]) == (401, "-", "/%0Anext")
    assert "secret" not in json.dumps(lines)
    assert ANN not in json.dumps(lines)
