"""Heartbeats while a call waits: many hosts give up on a call that stays silent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

BEAT_SECONDS = 3.0
"""Between two heartbeats; hosts are promised at most 5 s."""

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends one progress notification: progress, total, message."""


@asynccontextmanager
async def heartbeat(report: Report, what: str, interval: float) -> AsyncIterator[None]:
    """Report progress at once and every `interval` seconds until the block ends.

    The progress is the seconds waited, so it always rises; there is no total, since nobody knows it.
    """
    started = anyio.current_time()

    async def beat() -> None:
        while True:
            waited = anyio.current_time() - started
            await report(round(waited, 3), None, f"{what}: {waited:.0f} s")
            await anyio.sleep(interval)

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - carried out of the group, which would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
