"""How many requests at once; and none that is new while the server ends."""

import json
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.callers import caller_in
from mcp_server.http.bodies import replay
from mcp_server.http.replies import refuse

_BEGINNINGS = ("initialize", "tools/call")


class Limits:
    """An ASGI app that hands on so many requests at once: of all callers, and of each."""

    def __init__(self, app: ASGIApp, most_of_all: int, most: int) -> None:
        self._app = app
        self._most_of_all = most_of_all
        self._most = most
        self._in_flight: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, or refuse."""
        caller = caller_in(scope)
        if self._in_flight.total() >= self._most_of_all:
            message = "This server has as many requests as it can take; nothing was done. Send it again"
            await refuse(scope, receive, send, 503, message, retry_after="1", connection="close")
            return
        if self._in_flight[caller] >= self._most:
            message = f"{self._most} requests of yours are under way; send this again when one is answered"
            await refuse(scope, receive, send, 429, message, retry_after="1", connection="close")
            return
        self._in_flight[caller] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight[caller] -= 1
            if not self._in_flight[caller]:
                del self._in_flight[caller]


class Ending:
    """An ASGI app that hands on no new call once the process is `ending`: another one is to take it."""

    def __init__(self, app: ASGIApp, ending: Callable[[], bool]) -> None:
        self._app = app
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, or refuse."""
        if not self._ending() or scope["method"] != "POST" or scope["path"] != "/mcp":
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        if parsed(body).get("method") not in _BEGINNINGS:  # it may belong to a call under way
            await self._app(scope, replay(deque([body]), receive), send)
            return
        message = "This server is about to end; nothing was done. Send it again: another one will take it"
        await refuse(scope, receive, send, 503, message, retry_after="1", connection="close")


def parsed(body: bytes) -> dict[str, Any]:
    """The message in a body; empty where there is none, of which the transport has its own to say."""
    try:
        message = json.loads(body.decode())  # bytes would be taken as UTF-16, or with half characters, too
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
