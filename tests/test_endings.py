"""How a server process ends: what was begun is recorded, exit code 0, no hang, no traceback."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client

from mcp_server.emulator import Emulator
from tests.conftest import INITIALIZE, child_environment, connect, fault, posix, running
from tests.test_stdio import LIST, encoded

pytestmark = pytest.mark.anyio

CALL = {
    "jsonrpc": "2.0",
    "id": 3,
    "method": "tools/call",
    "params": {"name": "generate_image", "arguments": {"prompt": "x"}},
}


class Host:
    """A server process over stdio, spoken to by hand."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def send(self, *messages: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        for line in encoded(*messages):
            self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close_stdout(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()

    def answers(self) -> dict[int, Any]:
        assert self.process.stdout is not None
        lines = map(json.loads, self.process.stdout.read().splitlines())
        return {line["id"]: line for line in lines if "id" in line}

    def ended_well(self) -> None:
        assert self.process.stderr is not None
        assert self.process.wait(30) == 0
        errors = self.process.stderr.read().decode()
        assert "Traceback" not in errors
        assert "Error" not in errors


@contextmanager
def host(emulator: Emulator, store: Path, **variables: str) -> Iterator[Host]:
    variables = {"NOVITA_BASE_URL": emulator.url, "SEEDREAM_STORE_URL": f"sqlite:///{store}"} | variables
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(**variables),
    ) as process:
        try:
            yield Host(process)
        finally:
            process.kill()


async def at_work(emulator: Emulator, requests: int = 1) -> None:
    """Wait until the API has got so many requests."""
    while emulator.app.store.requests < requests:  # noqa: ASYNC110 - another process is waited for
        await anyio.sleep(0.01)


async def rows(store: Path) -> list[dict[str, Any]]:
    """What another server says of the generations."""
    async with connect(SEEDREAM_STORE_URL=f"sqlite:///{store}") as client:
        result = await client.call_tool("list_images", {})
        return list(result.structured_content["generations"])


END: dict[str, Callable[[Host], None]] = {
    "end of input": Host.close_stdin,
    "SIGTERM": lambda host: host.process.send_signal(signal.SIGTERM),
    "SIGINT": lambda host: host.process.send_signal(signal.SIGINT),
}
ENDS = [end if end == "end of input" else pytest.param(end, marks=posix) for end in END]


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_under_way_is_finished_recorded_and_saved(
    end: str, emulator: Emulator, tmp_path: Path
) -> None:
    store, folder = tmp_path / "ledger.db", tmp_path / "saved"
    emulator.app._latency = 0.4
    with host(emulator, store, SEEDREAM_SAVE_DIR=str(folder)) as one:
        one.send(INITIALIZE, CALL)
        await at_work(emulator)
        END[end](one)
        await to_thread.run_sync(one.ended_well)
        answers = one.answers()
    # Nobody is known to listen, but whoever still does gets the result.
    assert answers[3]["result"]["structuredContent"]["status"] == "succeeded"
    assert len(list(folder.iterdir())) == 1
    (row,) = await rows(store)
    assert row["status"] == "succeeded"
    assert row["images"][0]["saved_path"]
    assert "the same call again gets it" in row["note"]


@pytest.mark.parametrize("end", ENDS)
async def test_calls_that_still_wait_for_their_turn_are_refused(
    end: str, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.app._latency = 0.4
    with host(emulator, tmp_path / "ledger.db", SEEDREAM_MAX_CONCURRENCY="1") as one:
        one.send(INITIALIZE, *({**CALL, "id": number} for number in (3, 4, 5)))
        await at_work(emulator)
        END[end](one)
        await to_thread.run_sync(one.ended_well)
        answers = one.answers()
    texts = [answers[number]["result"]["content"][0]["text"] for number in (3, 4, 5)]
    assert sum("told to end; nothing was sent" in text for text in texts) == 2
    assert emulator.app.store.requests == 1


@pytest.mark.parametrize("end", ENDS)
async def test_an_idle_server_ends_at_once(end: str, emulator: Emulator, tmp_path: Path) -> None:
    with host(emulator, tmp_path / "ledger.db") as one:
        one.send(INITIALIZE, LIST)
        assert one.process.stdout is not None
        await to_thread.run_sync(one.process.stdout.readline)
        END[end](one)
        with anyio.fail_after(10):
            await to_thread.run_sync(one.ended_well)


@pytest.mark.parametrize("end", ENDS)
async def test_the_drain_is_bounded_and_what_is_left_is_unknown(
    end: str, emulator: Emulator, tmp_path: Path
) -> None:
    store = tmp_path / "ledger.db"
    emulator.app.faults.add(fault(delay=60.0, drop="after_body"))
    with host(emulator, store, SEEDREAM_DRAIN_SECONDS="0.3") as one:
        one.send(INITIALIZE, CALL)
        await at_work(emulator)
        END[end](one)
        await to_thread.run_sync(one.ended_well)
    (row,) = await rows(store)
    assert row["status"] == "unknown"


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_drain(
    number: signal.Signals, emulator: Emulator, tmp_path: Path
) -> None:
    store = tmp_path / "ledger.db"
    emulator.app.faults.add(fault(delay=60.0, drop="after_body"))
    with host(emulator, store, SEEDREAM_DRAIN_SECONDS="60") as one:
        one.send(INITIALIZE, CALL)
        await at_work(emulator)
        one.process.send_signal(number)
        await anyio.sleep(0.2)  # two signals at once are one to the system
        one.process.send_signal(number)
        await to_thread.run_sync(one.ended_well)
    (row,) = await rows(store)
    assert row["status"] == "unknown"


@posix
async def test_hosts_close_stdin_and_then_send_a_signal_which_does_not_cut_the_drain(
    emulator: Emulator, tmp_path: Path
) -> None:
    store = tmp_path / "ledger.db"
    emulator.app._latency = 0.4
    with host(emulator, store) as one:
        one.send(INITIALIZE, CALL)
        await at_work(emulator)
        one.close_stdin()
        await anyio.sleep(0.1)
        one.process.send_signal(signal.SIGTERM)
        await to_thread.run_sync(one.ended_well)
    (row,) = await rows(store)
    assert row["status"] == "succeeded"


async def test_a_host_that_reads_no_more_is_one_that_has_left(emulator: Emulator, tmp_path: Path) -> None:
    store = tmp_path / "ledger.db"
    emulator.app._latency = 0.3
    with host(emulator, store) as one:
        one.send(INITIALIZE, CALL)
        await at_work(emulator)
        one.close_stdout()
        await to_thread.run_sync(one.ended_well)
    (row,) = await rows(store)
    assert row["status"] == "succeeded"
    assert "the same call again gets it" in row["note"]


@posix
async def test_a_host_that_leaves_its_pipe_full_does_not_hold_the_process(
    emulator: Emulator, tmp_path: Path
) -> None:
    with host(emulator, tmp_path / "ledger.db") as one:
        one.send(INITIALIZE, *({**LIST, "id": number} for number in range(10, 60)))  # 350 kB of answers
        assert one.process.stdout is not None
        await to_thread.run_sync(one.process.stdout.readline)
        await anyio.sleep(0.3)
        one.process.send_signal(signal.SIGTERM)
        assert await to_thread.run_sync(one.process.wait, 30) == 0


@pytest.mark.skipif(os.name == "nt", reason="a terminal of POSIX")
def test_a_terminal_that_is_closed_is_an_end_of_input(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_server"], stdin=theirs, stderr=subprocess.PIPE, env=child_environment()
    ) as process:
        os.close(theirs)
        os.close(ours)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_without_stdin_or_stdout_there_is_nobody_to_serve(closed: str) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m mcp_server {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, env=child_environment(), timeout=60, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("mcp-server-seedream: stdin or stdout is closed.")


async def test_a_script_that_pipes_its_calls_gets_its_answers(emulator: Emulator, tmp_path: Path) -> None:
    emulator.app._latency = 0.2
    with host(emulator, tmp_path / "ledger.db") as one:
        one.send(INITIALIZE, LIST, CALL)
        one.close_stdin()
        answers = await to_thread.run_sync(one.answers)
        await to_thread.run_sync(one.ended_well)
    assert set(answers) == {1, 2, 3}
    assert not answers[3]["result"].get("isError")


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_over_http_those_who_wait_get_their_results_and_it_ends_with_zero(
    number: signal.Signals, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.app._latency = 0.4
    arguments = ("serve", "--transport", "http", "--port", "0")
    store = f"sqlite:///{tmp_path / 'ledger.db'}"
    results: list[Any] = []
    with running(
        *arguments, wait_for="listening on", NOVITA_BASE_URL=emulator.url, SEEDREAM_STORE_URL=store
    ) as (url, process):
        async with Client(url, mode="legacy") as client:
            await client.list_tools()

            async def call(prompt: str) -> None:
                results.append(await client.call_tool("generate_image", {"prompt": prompt}))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, "x")
                await at_work(emulator)
                process.send_signal(number)
                await anyio.sleep(0.1)
                await call("y")
            refused, made = results
            assert "told to end" in refused.content[0].text
            assert made.structured_content["status"] == "succeeded"
            with anyio.fail_after(20):
                assert await to_thread.run_sync(process.wait) == 0
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()
    assert emulator.app.store.billed_requests == 1


LEAVING = """
import sys
import anyio
from mcp import Client
from mcp.client.sse import sse_client

async def run():
    url = sys.argv[1]
    async with Client(sse_client(url) if url.endswith("/sse") else url, mode=sys.argv[2]) as client:
        await client.call_tool("generate_image", {"prompt": "x"})

anyio.run(run)
"""


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_over_http_a_client_that_leaves_abandons_its_call(
    path: str, emulator: Emulator, tmp_path: Path, era: str
) -> None:
    emulator.app._latency = 0.5
    arguments = ("serve", "--transport", "http", "--port", "0")
    store = f"sqlite:///{tmp_path / 'ledger.db'}"
    with running(
        *arguments, wait_for="listening on", NOVITA_BASE_URL=emulator.url, SEEDREAM_STORE_URL=store
    ) as (url, _):
        # No word of cancelling, as a client's process that is killed sends none.
        host = await anyio.open_process([sys.executable, "-c", LEAVING, url.replace("/mcp", path), era])
        await at_work(emulator)
        host.kill()
        await host.wait()
        async with Client(url, mode=era) as client:
            result = await client.call_tool("generate_image", {"prompt": "x"})
    assert result.structured_content["recovered"] is True
    assert emulator.app.store.billed_requests == 1
