"""`make bench`: start-up, one call, 64 parallel calls, and the size of tools/list.

Two servers are measured in turns in the same run, so that what else the machine does hits both.
Medians; the ratio is what counts. Targets are the project's own, printed beside, never asserted.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from typing import Any

from mcp import Client, StdioServerParameters

BARE = ["-m", "benchmarks.bare"]
OURS = ["-m", "mcp_server"]
STARTS = 15
CALLS = 600
PARALLEL = 64

_INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


def _start_seconds(arguments: list[str]) -> float:
    """From spawn to the reply to tools/list, over the raw pipes, so that no client's time counts."""
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _INITIALIZE},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin  # noqa: S101 - for the type checker
        assert process.stdout  # noqa: S101 - as above
        process.stdin.write("".join(json.dumps(line) + "\n" for line in lines))
        process.stdin.flush()
        while json.loads(process.stdout.readline()).get("id") != 2:
            pass
        seconds = time.perf_counter() - started
        process.stdin.close()
    return seconds


def _start_up() -> None:
    bare, ours = [], []
    for _ in range(STARTS):
        bare.append(_start_seconds(BARE))
        ours.append(_start_seconds(OURS))
    _row("spawn to tools/list", statistics.median(bare), statistics.median(ours), 1.10)


def _parameters(arguments: list[str], url: str, store: str | None = None) -> StdioServerParameters:
    environment = {
        "NOVITA_BASE_URL": url,
        "NOVITA_API_KEY": "bench",
        "SEEDREAM_MAX_CONCURRENCY": "128",
        "SEEDREAM_STORE_URL": store or f"sqlite://{tempfile.mkdtemp()}/ledger.db",
    }
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment)


async def _timed_call(client: Client) -> float:
    started = time.perf_counter()
    result = await client.call_tool("generate_image", {"prompt": "a lighthouse"})
    if result.is_error:
        raise RuntimeError(result.content)
    return time.perf_counter() - started


async def _calls(quick: str, slow: str) -> None:
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(Client(_parameters(BARE, quick)))
        ours = await stack.enter_async_context(Client(_parameters(OURS, quick)))
        unrecorded = await stack.enter_async_context(Client(_parameters(OURS, quick, "memory://")))
        tools = await ours.list_tools()
        times: tuple[list[float], ...] = ([], [], [])
        for _ in range(CALLS):
            for client, taken in zip((bare, ours, unrecorded), times, strict=True):
                taken.append(await _timed_call(client))
        warm = CALLS // 10
        bare_p50, our_p50, unrecorded_p50 = (statistics.median(taken[warm:]) for taken in times)
        _row("one call, p50, recorded in a file", bare_p50, our_p50, 1.25)
        _row("one call, p50, recorded in memory", bare_p50, unrecorded_p50, 1.25)

        many = await stack.enter_async_context(Client(_parameters(OURS, slow)))
        await _timed_call(many)
        started = time.perf_counter()
        await asyncio.gather(*(_timed_call(many) for _ in range(PARALLEL)))
        print(
            f"{PARALLEL} parallel calls x 1 s upstream: {time.perf_counter() - started:.2f} s (target 1.30)"
        )
        size = _bytes(tools.model_dump(by_alias=True, exclude_none=True, mode="json"))
        print(f"tools/list: {size:,} bytes (target 7,168)")


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")).encode())


def _row(what: str, bare: float, ours: float, target: float) -> None:
    print(
        f"{what}: {ours * 1000:.1f} ms, bare {bare * 1000:.1f} ms, "
        f"ratio {ours / bare:.2f} (target {target:.2f})"
    )


def main() -> None:
    """Run every benchmark and print its row."""
    _start_up()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream"], stdout=subprocess.PIPE, text=True
    ) as upstream:
        try:
            quick, slow, _ = (upstream.stdout.readline() if upstream.stdout else "").split()
            asyncio.run(_calls(quick, slow))
        finally:
            upstream.terminate()


if __name__ == "__main__":
    main()
