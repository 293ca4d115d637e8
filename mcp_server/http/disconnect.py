"""Noticing that an HTTP client has left before its reply was complete.

In the older protocol era the SDK lets a call go on whose connection is gone, and drops the result: here
the call learns of it, so that the generation counts as abandoned and the next identical call gets it.
"""

from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOO_LARGE = "mcp_server.too_large"
"""In the scope of a small request that stands for a too large one: what is wrong."""

_KEY = "mcp_server.gone"


def noticing(app: "ASGIApp") -> "ASGIApp":
    """`app`, each of whose requests carries an event that is set when the client leaves too early."""

    async def noticed(scope: "Scope", receive: "Receive", send: "Send") -> None:
        gone = scope[_KEY] = anyio.Event()
        complete = False

        async def listen() -> "Message":
            message = await receive()
            if message["type"] == "http.disconnect" and not complete:
                gone.set()
            return message

        async def reply(message: "Message") -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        await app(scope, listen, reply)

    return noticed


def client_gone(request: Any) -> anyio.Event | None:
    """The event of the HTTP request that a call came with; None for a call that came otherwise."""
    scope = getattr(request, "scope", {})
    # A message for SSE is acknowledged at once: that its request ends says nothing.
    return scope.get(_KEY) if scope.get("path") == "/mcp" else None
