"""Replies of the layers in front of the protocol: JSON-RPC errors, as the SDK's own are."""

from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

_REFUSED = -32600


async def refuse_early(send: Send, status: int, message: str) -> None:
    """As `refuse`, while the body still comes; one more, empty, body message ends it."""
    reply = JSONResponse(_error(message), status, {"connection": "close"})
    await send({"type": "http.response.start", "status": status, "headers": reply.raw_headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": True})


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, message: str, **headers: str
) -> None:
    """Answer with a status, and a message for people; `retry_after` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    await JSONResponse(_error(message), status, named)(scope, receive, send)


def _error(message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": _REFUSED, "message": message}}
