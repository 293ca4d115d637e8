"""Replicas that can't reach their store, or one another; and what they hand to each other."""

import json
import socket
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mcp_server.http.disconnect import TOO_LARGE
from mcp_server.http.mailroom import Mailroom
from mcp_server.http.replicas import Facts, Mail, Replicas
from mcp_server.http.sessions import Sessions, _Here
from tests.conftest import eventually, redis_server, running

pytestmark = pytest.mark.anyio

SERVE = ("serve", "--transport", "http", "--port", "0")


async def test_a_server_starts_without_its_store_serves_and_is_ready_once_it_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": f"redis://:hunter2@127.0.0.1:{port}"}
    with running(*SERVE, wait_for="listening on", **variables) as (url, process):
        base = url.removesuffix("/mcp")
        async with httpx.AsyncClient(base_url=base) as http:
            assert (await http.get("/healthz")).status_code == 200
            unready = await http.get("/readyz")
            assert (unready.status_code, unready.json()["store"]) == (503, False)
            assert (await http.get("/readyz")).status_code == 503
            async with Client(url, mode="2026-07-28") as client:
                made = (await client.call_tool("generate_image", {"prompt": "x"})).structured_content
            assert made is not None
            assert any("can't be used" in warning for warning in made["warnings"])
            assert "hunter2" not in json.dumps(made)

            async def ready() -> bool:
                return (await http.get("/readyz")).status_code == 200

            with redis_server(tmp_path, port):
                await eventually(ready)
        process.terminate()
        assert process.stdout is not None
        assert "hunter2" not in process.stdout.read()


async def nothing(_mail: Mail) -> Facts | None:
    return {}


async def test_what_cannot_be_sent_is_nobodys_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(tmp_path) as url:
        replicas = Replicas(url)
        assert await replicas.send("00000000", Mail({}, b"")) is None  # nobody of that name
    lost = await replicas.send("00000000", Mail({}, b""))
    assert lost is not None
    assert lost["status"] == 503
    await replicas.close_session("x")
    assert not await replicas.is_closed("x")
    await replicas.tell_all(Mail({}, b"{}"))
    await replicas._take(json.dumps({"mail": "x"}).encode(), nothing)
    assert len(caplog.records) == 5
    await replicas.aclose()


async def test_a_replica_that_loses_its_store_hears_the_others_again_once_it_is_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        one, other = Replicas(url), Replicas(url)
        async with anyio.create_task_group() as tasks:
            await tasks.start(one.run, nothing)
            assert await other.send(one.id, Mail({}, b"")) == {}
            sealed = one.key.seal(b"x")
            await one._redis.client_kill_filter(_type="pubsub")

            async def heard() -> bool:
                return await other.send(one.id, Mail({}, b"")) == {}

            await eventually(heard)
            await other._learn_key()
            assert other.key.unseal(sealed) == b"x"
            tasks.cancel_scope.cancel()
    await one.aclose()
    await other.aclose()


async def test_what_is_handed_on_keeps_its_caller_and_its_mark(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope.get(TOO_LARGE), getattr(scope.get("user"), "access_token", None)))
        await PlainTextResponse("there", 202)(scope, receive, send)

    mailroom = Mailroom(app, Replicas("redis://127.0.0.1:1"))
    facts = {"path": "/messages/x/", "query": "session_id=1", "headers": {"content-type": "a/b"}}
    answer = await mailroom.deliver(Mail(facts | {TOO_LARGE: "too large", "user": None}, b"{}"))
    assert answer == {"status": 202, "text": "there"}
    await mailroom.deliver(Mail(facts | {"user": ["c", "https://issuer.example", "ann"]}, b"{}"))
    await mailroom.deliver(Mail(facts | {"user": ["token:ann", None, None]}, b"{}"))
    assert seen[0] == ("too large", None)
    assert [(token.client_id, token.claims, token.subject) for _, token in seen[1:]] == [
        ("c", {"iss": "https://issuer.example"}, "ann"),
        ("token:ann", None, None),
    ]


async def test_a_session_that_the_sdk_has_no_room_for_is_not_remembered(redis_url: str) -> None:
    replicas = Replicas(redis_url)

    async def full(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("Too many open sessions", 503)(scope, receive, send)

    sessions = Sessions(full, replicas)
    sessions._here = {"old": _Here("x", float("-inf")), "long": _Here("w", float("-inf"), busy=1)}
    sessions._remember("token", "y")
    assert [here.inner for here in sessions._here.values()] == ["w", "y"]  # a long call can be cancelled
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Mcp-Session-Id": sessions._seal({"protocolVersion": "2025-06-18"}, "http")}
    transport = httpx.ASGITransport(app=sessions)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        reply = await http.post("/mcp", json=message, headers=headers)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert len(sessions._here) == 2
    await replicas.aclose()


def test_a_low_limit_on_files_is_raised_to_what_the_connections_need() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        variables = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": "memory://"}
        with running(*SERVE, wait_for="listening on", **variables) as (url, process):
            assert httpx.get(url.replace("/mcp", "/healthz")).status_code == 200
            soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft >= min(4512, before[1])
