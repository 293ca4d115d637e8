"""stdio: one host on stdin and stdout. Nothing else may write to stdout."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import cast

import anyio
from mcp.server.stdio import stdio_server

from mcp_server.endings import exit_soon, signals
from mcp_server.generations import Generations
from mcp_server.platforms import is_unread
from mcp_server.server import SeedreamServer
from mcp_server.settings import Settings

_PIECE = 1024 * 1024
_LONGEST_LINE = 2**40  # no limit of ours: the host is trusted
_LAST_SECONDS = 2.0


class Stdin:
    """The lines of stdin, as the SDK wants them. Unlike its own reader, one that can be left at any time.

    `ended` is set when all that came was read, or by whoever knows that no more is to be read; the lines end,
    and with them the session, when `end` is called.
    """

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self._end = anyio.Event()
        self._lines = asyncio.StreamReader(_LONGEST_LINE)
        # What is started from here must not read the protocol.
        self._file = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        # A daemon: nothing can wake a thread that reads, and the process must be able to end.
        threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True).start()

    def end(self) -> None:
        """Let the lines end."""
        self._end.set()
        self._lines.feed_eof()

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines, without what UTF-8 does not allow."""
        async for line in self._lines:
            yield line.decode("utf-8", "replace")
        self.ended.set()
        await self._end.wait()

    def _feed(self, data: bytes) -> None:
        if not self._end.is_set():  # pragma: no branch - a host may write on to a process that ends
            self._lines.feed_data(data) if data else self._lines.feed_eof()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        data = b"-"
        while data:
            try:
                data = os.read(self._file, _PIECE)
            except OSError:  # pragma: no cover - a terminal that is gone, on some systems
                data = b""  # as good as the end
            with suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(self._feed, data)


async def serve_stdio(settings: Settings) -> None:
    """Serve one host until stdin ends, a signal comes, or the host reads no more."""
    async with Generations(settings) as generations:
        server, stdin = SeedreamServer(generations), Stdin()
        told = anyio.Event()  # to end, by a signal

        def stop() -> None:
            told.set()
            stdin.ended.set()

        async def end() -> None:
            await stdin.ended.wait()
            # The host has left. What it asked for before gets its time, and may still be read by someone.
            await generations.abandon_all()
            started = anyio.current_time()
            await server.answered(settings.drain_seconds, unless=told)
            await generations.drain(max(0.0, settings.drain_seconds - (anyio.current_time() - started)))
            await server.answered(_LAST_SECONDS)
            exit_soon()
            stdin.end()

        with signals(stop, generations.hurry):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end)
                try:
                    async with stdio_server(stdin=cast("anyio.AsyncFile[str]", stdin)) as streams:
                        await server.run_over(*streams)
                except* OSError as errors:
                    if others := errors.split(is_unread)[1]:
                        raise others from None
                    await generations.abandon_all(unread=True)
                tasks.cancel_scope.cancel()
            await generations.drain()
