"""Two kinds of client. A call gives the tool's result as JSON, or raises `Lost` where none came."""

import json
import ssl
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol

import httpx
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

MODERN = "2026-07-28"
TOOL = "generate_image"
SECONDS = 120.0
"""A call that takes longer is lost."""


class Lost(Exception):
    """The call has ended without a result; `str()` says how, in a few words."""


class Caller(Protocol):
    """A client of one caller."""

    async def open(self) -> None:
        """Be ready to call."""

    async def call(self, prompt: str) -> dict[str, Any]:
        """The result of one call.

        Raises:
            Lost: it came to nothing.
        """

    async def close(self) -> None:
        """Let go of the connection."""


class Lean:
    """A POST of JSON-RPC for each call, over a connection that is kept: as little work as can be."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext) -> None:
        self._url = url
        headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": "tools/call",
            "Mcp-Name": TOOL,
        }
        # One each: a pool of hundreds of connections is slow. The context is made once: that is slow, too.
        self._http = httpx.AsyncClient(headers=headers, timeout=SECONDS, verify=context)

    async def open(self) -> None:
        """The first call opens the connection."""

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()

    async def call(self, prompt: str) -> dict[str, Any]:
        """See `Caller.call`."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"name": TOOL, "arguments": {"prompt": prompt}, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        try:
            reply = await self._http.post(self._url, json=message)
        except httpx.HTTPError as error:
            raise Lost(type(error).__name__) from None
        if reply.status_code != httpx.codes.OK:
            raise Lost(f"HTTP {reply.status_code}")
        return _result(reply.text)


class Full:
    """The SDK's client, in one of the protocol's two eras."""

    def __init__(self, url: str, token: str, era: str) -> None:
        self._url = url
        self._token = token
        self._era = era
        self._exits = AsyncExitStack()
        self._client: Client | None = None

    async def open(self) -> None:
        """Connect, if that is not done."""
        if self._client:
            return
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            http = httpx2.AsyncClient(headers=headers, timeout=SECONDS)
            await self._exits.enter_async_context(http)
            transport = streamable_http_client(self._url, http_client=http)
            self._client = await self._exits.enter_async_context(Client(transport, mode=self._era))
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, there is no result
            await self.close()
            raise Lost(f"connecting: {_name(error)}") from None

    async def close(self) -> None:
        """Disconnect; from what is broken, too."""
        self._client = None
        with suppress(Exception):
            await self._exits.aclose()

    async def call(self, prompt: str) -> dict[str, Any]:
        """See `Caller.call`."""
        if self._client is None:
            raise Lost("not connected")
        try:
            result = await self._client.call_tool(TOOL, {"prompt": prompt})
        except Exception as error:  # noqa: BLE001 - as above
            await self.close()
            raise Lost(_name(error)) from None
        return result.model_dump(by_alias=True, mode="json")


def _name(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"MCPError {error.error.code}" if isinstance(error, MCPError) else type(error).__name__


def _result(text: str) -> dict[str, Any]:
    """The result in a reply, which may be a stream of events."""
    if not text.startswith("{"):
        lines = [line for line in text.splitlines() if line.startswith("data:")]
        text = lines[-1].removeprefix("data:") if lines else "{}"
    try:
        message = json.loads(text)
    except ValueError:
        raise Lost("no JSON") from None
    if "result" not in message:
        code = message.get("error", {}).get("code")
        raise Lost(f"MCPError {code}" if code else "an end without a result")
    result: dict[str, Any] = message["result"]
    return result
