"""Heartbeats while a call waits: many hosts give up on a call that stays silent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

BEAT_SECONDS = 3.0
"""Between two heartbeats; hosts are promised at most 5 s."""

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends one progress notification: progress, total, message."""


@asynccontextmanager
async def heartbeat(report: Report, what: str, interval: float) -> AsyncIterator[None]:
    """Report progress at once and every `interval` seconds until the block ends.

    The progress is the seconds waited, so it always rises; there is no total, since nobody knows it.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def beat() -> None:
        while True:
            waited = loop.time() - started
            await report(round(waited, 3), None, f"{what}: {waited:.0f} s")
            await asyncio.sleep(interval)

    # A task rather than a task group: what the block raises must come out as it is, and a reader that
    # holds up the reports must not hold up the call.
    beating = loop.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
