"""Calls of a real server process over stdio, and all the ways to end it."""

import asyncio
import json
import math
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, cast

from tests.conftest import child_environment


@dataclass(eq=False)
class Call:
    """One call of generate_image. `done` is its answer, or None once it is known that none is to be had."""

    server: "Server"
    prompt: str
    number: int
    sent: float = field(default_factory=time.time)
    done: "asyncio.Future[dict[str, Any] | None]" = field(default_factory=asyncio.Future)
    answer: dict[str, Any] | None = None
    answered: float = math.inf
    left: bool = False  # whoever asked did not wait for the answer

    def arrive(self, answer: dict[str, Any]) -> None:
        """Take the answer, which may come later than anybody waits for it."""
        self.answer, self.answered = answer, time.time()
        self._settle(answer if "result" in answer else None)

    def leave(self) -> None:
        """Wait no longer."""
        self.left = not self.done.done()
        self._settle(None)

    def _settle(self, answer: dict[str, Any] | None) -> None:
        if not self.done.done():
            self.done.set_result(answer)

    @property
    def made(self) -> dict[str, Any] | None:
        """The structured result, if the call got pictures."""
        result = (self.answer or {}).get("result", {})
        return None if result.get("isError") else result.get("structuredContent")

    @property
    def error(self) -> str | None:
        """The text of a tool error."""
        result = (self.answer or {}).get("result", {})
        return str(result["content"][0]["text"]) if result.get("isError") else None


class Server(asyncio.SubprocessProtocol):
    """A server process, and its host's end of the pipes."""

    _transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}
        self.noise: list[bytes] = []
        self.stderr = bytearray()
        self.ended = asyncio.Event()  # it is gone, with its locks, and all that it wrote was read
        self.told = math.inf  # when it was told to end
        self.ending = ""
        self._rest = b""
        self.trapped = False

    @classmethod
    async def start(cls, **variables: str) -> Self:
        """A process that has shaken hands."""
        transport, server = await asyncio.get_running_loop().subprocess_exec(
            cls, sys.executable, "-m", "mcp_server", env=child_environment(**variables)
        )
        server._transport = transport
        try:
            hello = {"capabilities": {}, "clientInfo": {"name": "histories", "version": "1"}}
            assert await server.request("initialize", {"protocolVersion": "2025-06-18", **hello})
            server.notify("notifications/initialized", {})
        except BaseException:
            await server.destroy()
            raise
        return server

    @property
    def code(self) -> int | None:
        return self._transport.get_returncode()

    def request(
        self, method: str, params: dict[str, Any], prompt: str = ""
    ) -> "asyncio.Future[dict[str, Any] | None]":
        """Send a request; the future is that of its `Call`."""
        number = len(self.calls) + 1
        call = self.calls[number] = Call(self, prompt, number)
        if self.ended.is_set():
            call.leave()
        self._send({"id": number, "method": method, "params": params})
        return call.done

    def call(self, prompt: str) -> Call:
        """Ask for a picture."""
        token = {"progressToken": len(self.calls) + 1}
        params = {"name": "generate_image", "arguments": {"prompt": prompt}, "_meta": token}
        self.request("tools/call", params, prompt)
        return self.calls[len(self.calls)]

    async def look(self) -> bool:
        """Call list_images."""
        params = {"name": "list_images", "arguments": {"limit": 1}}
        return bool(await self.request("tools/call", params))

    def notify(self, method: str, params: dict[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def open_calls(self) -> list[Call]:
        """The calls for pictures that nobody has given up."""
        return [call for call in self.calls.values() if call.prompt and not call.done.done()]

    def end(self, how: str) -> None:
        """End it: kill, trap (killed when its next answer is there), eof, term or hangup."""
        self.ending = how
        if how == "trap" and self.open_calls():
            self.trapped = True
            return
        self.told = time.time()
        if how in ("kill", "trap"):
            self._transport.kill()
        elif how == "term":
            self._transport.terminate()
        else:
            for number in (0, 1) if how == "hangup" else (0,):
                if pipe := self._transport.get_pipe_transport(number):
                    pipe.close()

    async def destroy(self) -> None:
        """See to it that nothing is left of it."""
        with suppress(ProcessLookupError):
            self._transport.kill()
        await self.ended.wait()
        self._transport.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr += data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        for call in self.calls.values():
            if not call.done.done():
                call.done.set_result(None)

    def _read(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            if "method" in message:
                return
            call = self.calls[message["id"]]
            assert call.answer is None
        except (ValueError, KeyError, TypeError, AssertionError):
            self.noise.append(line)
            return
        call.arrive(message)
        if self.trapped and call.prompt:
            self.trapped = False
            self.end("kill")

    def _send(self, message: dict[str, Any]) -> None:
        if self.told < math.inf:
            return  # it hears no more
        pipe = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        pipe.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
