"""Heartbeats while a call waits: many hosts give up on a call that stays silent."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

BEAT_SECONDS = 3.0
"""Between two heartbeats; hosts are promised at most 5 s."""

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends one progress notification: progress, total, message."""


class Phase:
    """What a call is waiting for at the moment, in words."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._name, self._since = "checking", time.monotonic()
        self._tell: Callable[[float], str] = lambda waited: f"Checking, {waited:.0f} s"

    def enter(self, name: str, tell: Callable[[float], str]) -> None:
        """Be in the phase `name`; `tell` gives the message after so many seconds of it."""
        if name != self._name:
            self._name, self._since = name, time.monotonic()
            self._changed.set()
        self._tell = tell

    async def changed(self) -> None:
        """Wait for a phase that this has not waited for before."""
        await self._changed.wait()
        self._changed.clear()

    def text(self) -> str:
        """The message of now."""
        return self._tell(time.monotonic() - self._since)


def making(most: int, usual_seconds: float | None) -> Callable[[float], str]:
    """The messages while the API makes up to `most` images, which usually takes so long.

    The API says nothing before all are made: which image it is at is reckoned from the usual time.
    """

    def tell(waited: float) -> str:
        if not usual_seconds:
            return f"Waiting for {'1 image' if most == 1 else f'up to {most} images'}: {waited:.0f} s"
        number = min(most, int(waited / usual_seconds * most) + 1)
        of = "1" if most == 1 else f"up to {most}"
        return f"Probably at image {number} of {of}, {waited:.0f} s, usually about {usual_seconds:.0f} s"

    return tell


@asynccontextmanager
async def heartbeat(report: Report, phase: Phase, interval: float) -> AsyncIterator[None]:
    """Report progress at once, in each new phase and every `interval` seconds, until the block ends.

    The progress is the seconds waited, so it always rises; there is no total, since nobody knows it.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def beat() -> None:
        progress = 0.0
        while True:
            await report(progress, None, phase.text())
            with suppress(TimeoutError):
                await asyncio.wait_for(phase.changed(), interval)
            progress = max(round(loop.time() - started, 3), progress + 0.001)

    # A task rather than a task group: what the block raises must come out as it is, and a reader that
    # holds up the reports must not hold up the call.
    beating = loop.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
