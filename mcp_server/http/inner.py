"""Requests that this process makes of its own app: for a client that has spoken to another replica."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import principal_components
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

from mcp_server.http.bodies import replay, stay


class Reply(NamedTuple):
    """What the app answered."""

    status: int
    headers: Headers
    body: bytes


async def post(app: ASGIApp, scope: Scope, body: bytes, headers: Mapping[str, str]) -> Reply:
    """POST `body` with `scope`, in which `headers` take the place of those of the same names."""
    given = {name.lower(): value for name, value in headers.items()} | {"content-length": str(len(body))}
    kept = [pair for pair in scope["headers"] if pair[0].decode("latin-1") not in given]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
    got: list[Message] = []

    async def send(message: Message) -> None:
        got.append(message)

    inner = {**scope, "method": "POST", "headers": [*kept, *encoded]}
    await app(inner, replay(deque([body]), stay), send)
    start = next(message for message in got if message["type"] == "http.response.start")
    content = b"".join(message.get("body", b"") for message in got)
    return Reply(start["status"], Headers(raw=start["headers"]), content)


def user_of(scope: Scope) -> list[str | None] | None:
    """Who has sent a request, for another replica to know."""
    user = scope.get("user")
    return list(principal_components(user.access_token)) if isinstance(user, AuthenticatedUser) else None
