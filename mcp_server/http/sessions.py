"""Sessions of the older protocol era that any replica takes up, at `/mcp`.

The SDK keeps a session in the process that opened it. Here the id that a client gets holds, sealed, what it
said when it opened the session: with that a replica that meets the id for the first time opens its own. What
belongs to a call at another replica (a cancellation, a person's answer) is sent on to it.
"""

import hashlib
import json
import re
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.request_state import InvalidRequestState
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.callers import caller_in
from mcp_server.http.bodies import replay
from mcp_server.http.inner import post, user_of
from mcp_server.http.limits import parsed
from mcp_server.http.replicas import Facts, Mail, Replicas
from mcp_server.http.replies import refuse

SESSION = "mcp-session-id"

IDLE_SECONDS = 5 * 60
"""After which a session here ends: the next request opens it again."""

_KEPT_SECONDS = IDLE_SECONDS - 60
"""How long one is used again."""

_LARGEST_OPENING = 2048
"""Bytes, packed, of what an id may hold: it goes out and comes back in a header each time."""

_LARGEST_NEWS = 64 * 1024
"""Bytes of what is sent to every replica, and of an opening that is packed at all."""

_LONGEST_VERSION = 32

_ASKED = re.compile(r"([0-9a-f]{8})\.([0-9]{1,18})")
_DATA = re.compile(rb"^data: (.*?)(\r?)$", re.MULTILINE)
_JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


@dataclass(slots=True)
class _Here:
    """A session in this process."""

    inner: str  # the SDK's id
    used: float  # when its last request began or ended
    busy: int = 0  # requests under way: it stays as long as there are any, and so does the SDK's

    @property
    def kept(self) -> bool:
        """Whether the SDK surely has it still."""
        return self.busy > 0 or time.monotonic() - self.used <= _KEPT_SECONDS


class Sessions:
    """An ASGI app before the SDK's, which knows sessions by ids of its own."""

    def __init__(self, app: ASGIApp, replicas: Replicas) -> None:
        self._app = app
        self._replicas = replicas
        self._opening = anyio.Lock()
        self._here: dict[str, _Here] = {}  # by a hash of our id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on with the SDK's id in place of ours; open a session where there is none yet."""
        headers = Headers(scope=scope)
        version = headers.get("mcp-protocol-version")
        if scope["path"] != "/mcp" or (version and version not in HANDSHAKE_PROTOCOL_VERSIONS):
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body() if scope["method"] == "POST" else b""
        message = parsed(body)
        receive = replay(deque([body]), receive) if scope["method"] == "POST" else receive
        token = headers.get(SESSION)
        if token is None:
            if message.get("method") == "initialize":
                await self._open(scope, receive, send, message)
            else:
                await self._app(scope, receive, send)
            return
        opening = self._unseal(token, caller_in(scope))
        if opening is None:
            await refuse(scope, receive, send, 404, "Session not found")
        elif message and not ("method" in message and "id" in message):
            status = await self._pass_on(scope, token, message, body)
            await Response(status_code=status)(scope, receive, send)
        else:
            try:
                here = await self._take_up(scope, token, opening)
            except LookupError:
                await refuse(scope, receive, send, 404, "Session not found")
                return
            if here is None:
                told = "This server holds as many sessions as it can. Send this again"
                await refuse(scope, receive, send, 503, told, retry_after="5")
                return
            if scope["method"] == "DELETE":
                self._here.pop(_hash(token), None)
                await self._replicas.close_session(_hash(token))
            try:
                await self._app(_with_session(scope, here.inner), receive, self._outward(send, token))
            finally:
                here.busy -= 1
                here.used = time.monotonic()

    async def deliver(self, scope: Scope, facts: Facts, body: bytes) -> int | None:
        """Take what another replica has sent on; the status, or None where the session is not here."""
        if (here := self._here.get(facts["session"])) is None:
            return None
        if facts.get("closed"):
            del self._here[facts["session"]]
            return None
        return (await post(self._app, scope, body, _JSON | {SESSION: here.inner})).status

    async def _open(self, scope: Scope, receive: Receive, send: Send, message: dict[str, Any]) -> None:
        """The reply to `initialize`, with our id. That the client is ready is said here, before it speaks."""
        token = self._seal(message.get("params"), caller_in(scope))
        replies: list[Message] = []

        async def keep(reply: Message) -> None:
            replies.append(reply)

        await self._app(scope, receive, keep)
        for reply in replies:
            if reply["type"] == "http.response.start" and SESSION in (headers := MutableHeaders(scope=reply)):
                self._remember(token, headers[SESSION])
                await self._say_ready(scope, headers[SESSION])
                headers[SESSION] = token
            await send(reply)

    async def _take_up(self, scope: Scope, token: str, opening: dict[str, Any]) -> _Here | None:
        """The session, with one request more, opened here if need be; None where it can't be.

        Raises:
            LookupError: the client has closed it.
        """
        async with self._opening:
            here = self._here.get(_hash(token))
            if here is None or not here.kept:
                if await self._replicas.is_closed(_hash(token)):
                    raise LookupError
                body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening})
                reply = await post(self._app, _with_session(scope, None), body.encode(), _JSON)
                if SESSION not in reply.headers:
                    return None
                here = self._remember(token, reply.headers[SESSION])
                here.busy += 1  # before anything can forget it
                await self._say_ready(scope, here.inner)
            else:
                here.busy += 1
            return here

    async def _say_ready(self, scope: Scope, inner: str) -> None:
        ready = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
        await post(self._app, scope, ready, _JSON | {SESSION: inner})

    def _remember(self, token: str, inner: str) -> _Here:
        self._here = {known: here for known, here in self._here.items() if here.kept}
        here = self._here[_hash(token)] = _Here(inner, time.monotonic())
        return here

    async def _pass_on(self, scope: Scope, token: str, message: dict[str, Any], body: bytes) -> int:
        """Bring news to the call that they belong to, wherever it is; the status of the reply."""
        facts = {"session": _hash(token), "user": user_of(scope)}
        asked = _ASKED.fullmatch(str(message.get("id")))
        if "method" not in message and asked:
            replica, number = asked.groups()
            answer = json.dumps({**message, "id": int(number)}).encode()
            if replica == self._replicas.id:
                return await self.deliver(scope, facts, answer) or 404
            answered = await self._replicas.send(replica, Mail(facts, answer))
            return int((answered or {}).get("status") or 404)
        if message.get("method") == "notifications/initialized":
            return 202
        if len(body) > _LARGEST_NEWS:
            return 413
        status = await self.deliver(scope, facts, body)  # before the others, who may be hard to reach
        await self._replicas.tell_all(Mail(facts, body))
        return status or 202

    def _outward(self, send: Send, token: str) -> Send:
        """`send`, with our id of the session, and with ids of questions that say whose they are."""

        async def outward(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if SESSION in headers:
                    headers[SESSION] = token
            elif b'"elicitation/create"' in message.get("body", b""):
                message["body"] = _DATA.sub(self._mark, message["body"])
            await send(message)

        return outward

    def _mark(self, data: re.Match[bytes]) -> bytes:
        message = parsed(data[1])
        if message.get("method") == "elicitation/create" and "id" in message:
            message["id"] = f"{self._replicas.id}.{message['id']}"
            return b"data: " + json.dumps(message).encode() + data[2]
        return data[0]

    def _seal(self, params: Any, caller: str) -> str:
        opening = params if isinstance(params, dict) else {}
        text = json.dumps([caller, opening]).encode()
        packed = zlib.compress(text[:_LARGEST_NEWS], 9)
        if len(text) > _LARGEST_NEWS or len(packed) > _LARGEST_OPENING:
            version = str(opening.get("protocolVersion"))[:_LONGEST_VERSION]
            client = {"name": "large", "version": "0"}
            small = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
            packed = zlib.compress(json.dumps([caller, small]).encode(), 9)
        return self._replicas.key.seal(packed)

    def _unseal(self, token: str, caller: str) -> dict[str, Any] | None:
        """What the client said at the opening; None where the id is nobody's, or another caller's."""
        try:
            # It is sealed: what comes out is what went in.
            opener, opening = json.loads(zlib.decompress(self._replicas.key.unseal(token)))
        except (InvalidRequestState, zlib.error, ValueError):  # or another thing that we have sealed
            return None
        return dict(opening) if opener == caller else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _with_session(scope: Scope, inner: str | None) -> Scope:
    headers = [pair for pair in scope["headers"] if pair[0] != SESSION.encode()]
    if inner is not None:
        headers.append((SESSION.encode(), inner.encode()))
    return {**scope, "headers": headers}
