"""How a server process ends: what was begun gets a bounded time, what came of it is recorded, exit code 0."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mcp_server.platforms import ending_signals

NUMBERS = ending_signals()

_LAST_SECONDS = 3.0


@contextmanager
def signals(first: Callable[[], None], again: Callable[[], None]) -> Iterator[None]:
    """In the block, a signal to end calls `first`, and any further one `again`, on the event loop."""
    loop = asyncio.get_running_loop()
    seen = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        loop.call_soon_threadsafe(again if seen else first)
        seen = True

    for number in NUMBERS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        # Python's own handling would come back at its very end: what comes now must not change the exit code.
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)


def exit_soon() -> None:
    """End the process in 3 s if it has not ended by then.

    For when everything is recorded: a host that reads nothing any more would hold a thread for ever.
    """
    timer = threading.Timer(_LAST_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
