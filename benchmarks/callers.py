"""Callers over HTTP that do as little as can be, so that what is measured is the servers."""

import asyncio
import json
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Self

LEGACY, NEWER = "2025-06-18", "2026-07-28"
_GOOD = b'"isError":false'


class Connection:
    """One kept connection to a port of loopback."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = f"127.0.0.1:{port}"
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect."""
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    def send(
        self, method: str, path: str, message: object = None, headers: dict[str, str] | None = None
    ) -> None:
        """Send a request."""
        body = json.dumps(message) if message else ""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._writer.write("\r\n".join([*lines, "", body]).encode())

    async def head(self) -> dict[str, str]:
        """A reply's headers."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        if not status.startswith("HTTP/1.1 2"):
            raise RuntimeError(status)
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def chunk(self) -> bytes:
        """A part of a reply that comes in parts; empty at its end."""
        size = int(await self._reader.readline(), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def body(self, head: dict[str, str]) -> bytes:
        """The whole of a reply."""
        if head.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(head.get("content-length", 0)))
        parts = []
        while part := await self.chunk():
            parts.append(part)
        return b"".join(parts)

    async def close(self) -> None:
        """Close it."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class Caller(ABC):
    """A client of its own, with one call at a time; `progress` asks for progress, as most hosts do."""

    def __init__(self, era: str, *, prompt: str = "a lighthouse", progress: bool = False) -> None:
        self._era = era
        self._params: dict[str, Any] = {"name": "generate_image", "arguments": {"prompt": prompt}}
        self._meta: dict[str, Any] = {"progressToken": 1} if progress else {}
        self._headers: dict[str, str] = {}
        if era == NEWER:
            facts = {"protocolVersion": era, "clientInfo": _WHO, "clientCapabilities": {}}
            self._meta |= {f"io.modelcontextprotocol/{name}": fact for name, fact in facts.items()}
            self._headers = {"MCP-Protocol-Version": era, "Mcp-Method": "tools/call"}
            self._headers["Mcp-Name"] = "generate_image"
        self._id = 1

    @abstractmethod
    async def open(self, port: int) -> None:
        """Connect, and in the older era begin a session."""

    @abstractmethod
    async def call(self) -> None:
        """Call the tool and read the result."""

    async def close(self) -> None:
        """Leave."""
        await self._posts.close()

    async def reconnect(self, port: int) -> None:
        """Take a new connection for what goes: servers close those that were idle for a few seconds."""
        await self._posts.close()
        await self._connect(port)

    async def _connect(self, port: int) -> None:
        self._posts = await Connection.open(port)

    def _message(self) -> dict[str, Any]:
        self._id += 1
        params = self._params | ({"_meta": self._meta} if self._meta else {})
        return {"jsonrpc": "2.0", "id": self._id, "method": "tools/call", "params": params}


class HttpCaller(Caller):
    """A client over Streamable HTTP."""

    async def open(self, port: int) -> None:
        """See `Caller.open`."""
        await self._connect(port)
        if self._era == LEGACY:
            head, _ = await self._ask(_INITIALIZE)
            self._headers["Mcp-Session-Id"] = head["mcp-session-id"]
            await self._ask(_INITIALIZED)

    async def call(self) -> None:
        """See `Caller.call`."""
        _, body = await self._ask(self._message())
        if _GOOD not in body:
            raise RuntimeError(body)

    async def _ask(self, message: object) -> tuple[dict[str, str], bytes]:
        self._posts.send("POST", "/mcp", message, self._headers)
        head = await self._posts.head()
        return head, await self._posts.body(head)


class SseCaller(Caller):
    """A client over SSE: a stream for what comes, and a connection for what goes."""

    async def open(self, port: int) -> None:
        """See `Caller.open`."""
        await self._connect(port)
        self._stream = await Connection.open(port)
        self._stream.send("GET", "/sse")
        await self._stream.head()
        self._path = (await self._event(b"event: endpoint")).partition(b"data: ")[2].strip().decode()
        if self._era == LEGACY:
            await self._post(_INITIALIZE)
            await self._event(b'"result"')
            await self._post(_INITIALIZED)

    async def call(self) -> None:
        """See `Caller.call`."""
        message = self._message()
        await self._post(message)
        event = await self._event(b'"id":%d' % message["id"])
        if _GOOD not in event:
            raise RuntimeError(event)

    async def close(self) -> None:
        """See `Caller.close`."""
        await self._stream.close()
        await super().close()

    async def _post(self, message: object) -> None:
        self._posts.send("POST", self._path, message)
        await self._posts.body(await self._posts.head())

    async def _event(self, mark: bytes) -> bytes:
        """The next event that holds `mark`; the servers send each in a part of its own."""
        while mark not in (event := await self._stream.chunk()):
            if not event:
                raise RuntimeError("the stream has ended")
        return event


_WHO = {"name": "bench", "version": "1"}
_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _WHO},
}
_INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALLERS = {"streamable-http": HttpCaller, "sse": SseCaller}
