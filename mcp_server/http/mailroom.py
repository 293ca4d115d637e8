"""What passes between replicas: messages of SSE sessions, and news for calls that are made elsewhere."""

from typing import Any

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.callers import KEY_HEADER
from mcp_server.http.disconnect import TOO_LARGE
from mcp_server.http.inner import post, user_of
from mcp_server.http.replicas import Facts, Mail, Replicas
from mcp_server.http.sessions import Sessions

_PASSED_ON = ("content-type", KEY_HEADER.lower(), "x-request-id")


class Mailroom:
    """An ASGI app: messages to `/messages/REPLICA/` go to that replica, where the session is.

    `sessions` takes the others.
    """

    def __init__(self, app: ASGIApp, replicas: Replicas) -> None:
        self._app = AuthContextMiddleware(app)
        self._sessions = Sessions(app, replicas)
        self._replicas = replicas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, here or there."""
        kind, _, replica = scope["path"].strip("/").partition("/")
        if kind != "messages" or replica == self._replicas.id or scope["method"] != "POST":
            await self._sessions(scope, receive, send)
            return
        headers = Headers(scope=scope)
        facts = {
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "headers": {name: headers[name] for name in _PASSED_ON if name in headers},
            "user": user_of(scope),
            TOO_LARGE: scope.get(TOO_LARGE),
        }
        mail = Mail(facts, await Request(scope, receive).body())
        answer = await self._replicas.send(replica, mail) or {"status": 404, "text": "Could not find session"}
        await Response(answer["text"], answer["status"])(scope, receive, send)

    async def deliver(self, mail: Mail) -> Facts | None:
        """Answer what another replica has sent on."""
        facts = mail.facts
        scope = _scope(facts)
        if "session" in facts:
            return {"status": await self._sessions.deliver(scope, facts, mail.body)}
        reply = await post(self._app, scope, mail.body, {})
        return {"status": reply.status, "text": reply.body.decode()}


def _scope(facts: Facts) -> Scope:
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "path": facts.get("path", "/mcp"),
        "query_string": facts.get("query", "").encode("latin-1"),
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in facts.get("headers", {}).items()
        ],
        "state": {},
    }
    if problem := facts.get(TOO_LARGE):
        scope[TOO_LARGE] = problem
    if user := facts.get("user"):
        client, issuer, subject = user
        claims = {"iss": issuer} if issuer is not None else None
        token = AccessToken(token="", client_id=client, scopes=[], subject=subject, claims=claims)
        scope["user"] = AuthenticatedUser(token)
    return scope
