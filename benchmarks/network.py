"""`make bench`: over Streamable HTTP and SSE, one call beside a bare server's, and 500 calls at once.

The servers are processes of their own, and measured in turns in one run. What one call's time is made of
is the same on stdio but for the transport; here it is what the transport adds to both that is compared.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.callers import CALLERS, LEGACY, NEWER, Caller

CALLS = 300
IN_FLIGHT = 500
UPSTREAM_SECONDS = 2.0
WAYS = [(transport, era) for transport in CALLERS for era in (LEGACY, NEWER)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def _server(arguments: list[str], url: str, store: str = "") -> Iterator[tuple[int, int]]:
    """A server process over the upstream at `url`; its port and its process id."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "NOVITA_BASE_URL": url,
            "NOVITA_API_KEY": "bench",
            "SEEDREAM_MAX_CONCURRENCY": "1024",
            "SEEDREAM_STORE_URL": store or f"sqlite://{folder}/ledger.db",
            "SEEDREAM_LOG_LEVEL": "WARNING",
        }
        filled = [argument.format(port=port) for argument in arguments]
        with subprocess.Popen([sys.executable, *filled], env=os.environ | environment) as process:
            try:
                _wait_for(port)
                yield port, process.pid
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return


def _bare(transport: str) -> list[str]:
    return ["-m", "benchmarks.bare", transport, "{port}"]


OURS = ["-m", "mcp_server", "serve", "--transport", "http", "--port", "{port}"]


async def _caller(transport: str, era: str, port: int, number: int | None = None) -> Caller:
    """A client that has connected; a numbered one asks for a picture of its own, and for progress."""
    numbered = number is not None
    prompt = f"a lighthouse by night, number {number}" if numbered else "a lighthouse"
    caller = CALLERS[transport](era, prompt=prompt, progress=numbered)
    await caller.open(port)
    return caller


async def _one_call(transport: str, era: str, ports: dict[str, int]) -> None:
    callers = {name: await _caller(transport, era, port) for name, port in ports.items()}
    times: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(CALLS):
        for name, caller in callers.items():
            started = time.perf_counter()
            await caller.call()
            times[name].append(time.perf_counter() - started)
    for caller in callers.values():
        await caller.close()
    bare, *ours = ((name, statistics.median(taken[CALLS // 10 :]) * 1000) for name, taken in times.items())
    shown = ", ".join(f"{name} {p50:.2f} ms, ratio {p50 / bare[1]:.2f}" for name, p50 in ours)
    print(f"one call over {transport}, {era}, p50: bare {bare[1]:.2f} ms; {shown} (target 1.25)", flush=True)


def _memory(pid: int, field: str) -> int:
    """A figure of the process's status, in bytes (Linux only)."""
    return int(Path(f"/proc/{pid}/status").read_text("ascii").partition(f"{field}:")[2].split()[0]) * 1024


def _forget_peak(pid: int) -> None:
    """Let the process's high-water mark be what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


async def _many(what: str, transport: str, era: str, port: int, pid: int) -> None:
    """All at once, each from a client of its own, which has connected before."""
    first = await _caller(transport, era, port)
    await first.call()  # what the first call imports and opens
    await first.close()
    before = _memory(pid, "VmRSS")
    callers = [await _caller(transport, era, port, number) for number in range(IN_FLIGHT)]
    await asyncio.gather(*(caller.reconnect(port) for caller in callers))
    connected = _memory(pid, "VmRSS")
    _forget_peak(pid)
    started = time.perf_counter()
    await asyncio.gather(*(caller.call() for caller in callers))
    seconds = time.perf_counter() - started
    peak = _memory(pid, "VmHWM")
    await asyncio.gather(*(caller.close() for caller in callers))
    print(
        f"{IN_FLIGHT} calls x {UPSTREAM_SECONDS:.0f} s upstream over {transport}, {era}, {what}: "
        f"{seconds:.2f} s (target 2.60); {(peak - connected) / IN_FLIGHT / 1024:.0f} kB a call in flight, "
        f"{(connected - before) / IN_FLIGHT / 1024:.0f} kB a connected client",
        flush=True,
    )


def main() -> None:
    """Print a row for each transport and era, of one call and of many."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream"], stdout=subprocess.PIPE, text=True
    ) as upstream:
        try:
            quick, _, slow = (upstream.stdout.readline() if upstream.stdout else "").split()
            for transport, era in WAYS:
                with (
                    _server(_bare(transport), quick) as (bare, _),
                    _server(OURS, quick, "memory://") as (memory, _),
                    _server(OURS, quick) as (file, _),
                ):
                    ports = {"bare": bare, "recorded in memory": memory, "in a file": file}
                    asyncio.run(_one_call(transport, era, ports))
            for transport, era in WAYS:
                for what, store in (("recorded in memory", "memory://"), ("in a file", "")):
                    with _server(OURS, slow, store) as (port, pid):
                        asyncio.run(_many(what, transport, era, port, pid))
        finally:
            upstream.terminate()


if __name__ == "__main__":
    main()
