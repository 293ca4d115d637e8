"""A line in the log for each request, and the id by which a request is found again."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.callers import caller_in, known_in
from mcp_server.log import request_id

logger = logging.getLogger(__name__)

_PROBES = ("/healthz", "/readyz")
_HEADER = "x-request-id"


class AccessLog:
    """An ASGI app that logs what `app` answers. Never a query string: the ids of SSE sessions stand there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, then log."""
        given = Headers(scope=scope).get(_HEADER, "")
        name = given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else secrets.token_hex(8)
        request_id.set(name)
        began, status = time.monotonic(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_HEADER] = name
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            facts = {
                "method": scope["method"],
                "path": scope.get("raw_path", b"").decode("ascii", "replace")[:200],
                "status": status or 499,
                "seconds": round(time.monotonic() - began, 3),
                "client": (scope.get("client") or ("-",))[0],
                "caller": caller_in(scope) if known_in(scope) else "-",
                "request_id": name,
            }
            level = logging.DEBUG if scope["path"] in _PROBES else logging.INFO
            words = " ".join(str(value) for value in facts.values())
            logger.log(level, "%s", words, extra={"facts": facts})
