"""The TypeScript SDK's clients, older and newer, against real servers over all three transports."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.emulator import Emulator
from tests.conftest import child_environment, running
from tests.npm import node, unpinned

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "typescript"
TRANSPORTS = ("stdio", "sse", "http")

PATIENCE = (90.0, None) if os.environ.get("PATIENCE") else (11.0, 8.0)
"""How many seconds a generation takes, and for how many a client waits; None: as many as the SDK's own 60.

The usual times are the real ones made short, but well over the 3 s between two heartbeats, which are more
on a busy machine.
"""


@contextmanager
def serving(transport: str, emulator: Emulator) -> Iterator[tuple[str, dict[str, str]]]:
    """What a client connects to, and its environment: the URL of a server, or the command of one."""
    variables = {"NOVITA_BASE_URL": emulator.url, "SEEDREAM_STORE_URL": "memory://"}
    if transport == "stdio":
        yield json.dumps([sys.executable, "-m", "mcp_server"]), child_environment(**variables)
        return
    arguments = ("serve", "--transport", transport, "--port", "0")
    with running(*arguments, wait_for="listening on", **variables) as (url, _):
        yield url, child_environment()


async def seen(
    script: str, *arguments: str, environment: dict[str, str], seconds: float = 60
) -> dict[str, Any]:
    """What the client saw, by step."""
    program = node(FOLDER, (20, 0), "make test")
    with anyio.fail_after(seconds):
        done = await anyio.run_process(
            [program, str(FOLDER / script), *arguments], check=False, env=environment
        )
    assert done.returncode == 0, done.stderr.decode()
    return {line["step"]: line for line in map(json.loads, done.stdout.decode().splitlines())}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("sdk", ["1", "2"])
async def test_the_typescript_sdks_clients_get_all_that_ours_gets(
    sdk: str, transport: str, emulator: Emulator
) -> None:
    emulator.app._latency = 0.3
    with serving(transport, emulator) as (target, environment):
        saw = await seen("client.mjs", sdk, transport, target, environment=environment)

    assert saw["connected"]["server"]["name"] == "mcp-server-seedream"
    assert saw["tools"]["names"] == ["generate_image", "edit_image", "list_images"]

    heard = [one["progress"] for one in saw["generated"]["heard"]]
    assert heard[0] == 0
    assert heard == sorted(set(heard))
    assert "1 image" in saw["generated"]["heard"][-1]["message"]
    made = saw["generated"]["result"]
    link = made["structuredContent"]["images"][0]["url"]
    assert link in made["content"][0]["text"]
    assert made["content"][1] | {"uri": link} == made["content"][1]

    assert saw["edited"]["result"]["structuredContent"]["requested"]["images"] == [link]
    assert saw["refused"]["result"]["isError"] is True
    assert saw["refused"]["result"]["content"][0]["text"].startswith("[invalid_argument] size:")
    assert saw["read"] == {"step": "read", "type": "image/jpeg", "start": "/9j/"}  # as a JPEG begins

    assert "enough" in saw["cancelled"]["outcome"]
    assert saw["repeated"]["result"]["structuredContent"]["recovered"] is True
    assert emulator.app.store.billed_requests == 3  # generated, edited, and one for both of the last two


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_less_patient_than_a_generation_is_kept_by_progress_or_collects_by_the_repeat(
    transport: str, emulator: Emulator
) -> None:
    generation, timeout = PATIENCE
    emulator.app._latency = generation
    patience = [] if timeout is None else [str(timeout * 1000)]
    saw: dict[str, dict[str, Any]] = {}

    async def wait(sdk: str) -> None:
        arguments = ("patience.mjs", sdk, transport, target, *patience)
        saw[sdk] = await seen(*arguments, environment=environment, seconds=generation * 2 + 60)

    with serving(transport, emulator) as (target, environment):
        async with anyio.create_task_group() as both:
            both.start_soon(wait, "1")
            both.start_soon(wait, "2")

    for steps in saw.values():
        # Both for the same time: one call is given up, the other is kept by what is heard of its progress.
        assert "timed out" in steps["gave up"]["outcome"]
        assert (timeout or 60) <= steps["gave up"]["seconds"] + 0.1 < generation
        assert steps["waited"]["seconds"] >= generation
        waited, repeated = (steps[step]["result"]["structuredContent"] for step in ("waited", "repeated"))
        assert [waited["recovered"], repeated["recovered"]] == [False, True]
        assert [len(result["images"]) for result in (waited, repeated)] == [1, 1]
    assert emulator.app.store.billed_requests == 4


def test_the_lock_file_holds_hashes_and_no_registrys_address() -> None:
    assert unpinned(FOLDER) == []
