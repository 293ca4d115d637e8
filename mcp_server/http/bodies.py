"""The body of a request, read whole before anything else looks at it: not too large, not too slow."""

import json
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.callers import caller_in
from mcp_server.http.disconnect import TOO_LARGE
from mcp_server.http.replies import refuse, refuse_early

LARGEST_BODY = 160 * 1024**2
"""Bytes of one request: ten references of 10 MB in base64, and some room."""

BODIES_AT_ONCE = 320 * 1024**2
"""Bytes of all bodies that a process holds at once; half of them for one caller."""

SMALL = 64 * 1024
"""Bytes of a body that always has room: how many there are is limited otherwise."""

MOST_VALUES = 100_000
"""Of JSON in a body: each takes many times its bytes in memory, and a real call has a few dozen."""

SLOWEST = 16 * 1024
"""Bytes a second that a body must come with, beside the patience for each piece."""

_READ_ON = 4
_BEFORE_VALUES = (b",", b"[", b"{")
_END = 512
_GLANCE_SECONDS = 0.2
_VALUE = rb'"id"\s*:\s*(\d{1,18}|"[^"\\]{1,128}")\s*'
_OTHERS = rb'"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*'
_ID_AT_START = re.compile(rb"\s*\{\s*(?:" + _OTHERS + rb",\s*)*" + _VALUE)
_ID_AT_END = re.compile(_VALUE + rb"(?:,\s*" + _OTHERS + rb")*\}\s*$")


class _Gone(Exception):
    """The client has left."""


class _Full(Exception):
    """There is no room for more bodies now."""


class _Crowded(Exception):
    """The body has more values than any call."""


class Bodies:
    """An ASGI app that hands on requests whose bodies are there, and refuses the others."""

    def __init__(
        self,
        app: ASGIApp,
        read_seconds: float,
        *,
        largest: int = LARGEST_BODY,
        at_once: int = BODIES_AT_ONCE,
        slowest: int = SLOWEST,
        small: int = SMALL,
    ) -> None:
        self._app = app
        self._read_seconds = read_seconds
        self._largest = largest
        self._room = _Room(at_once, small)
        self._slowest = slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, and hand on; or refuse."""
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        held = _Held(self._room, caller_in(scope))
        try:
            pieces = await self._read(scope, receive, send, held)
            if pieces is not None:
                await self._app(scope, replay(pieces, receive), send)
        except _Gone:
            pass
        finally:
            held.grow(0)

    async def _read(self, scope: Scope, receive: Receive, send: Send, held: "_Held") -> deque[bytes] | None:
        """The body in pieces; None where the request was refused."""
        pieces: deque[bytes] = deque()
        declared, size, values = int(Headers(scope=scope).get("content-length", "0")), 0, 0
        try:
            if declared > self._largest:
                await self._refuse_large(scope, receive, send, b"")
                return None
            held.grow(declared)
            async for piece in self._pieces(receive):
                pieces.append(piece)
                size += len(piece)
                if size > self._largest:
                    await self._refuse_large(scope, receive, send, pieces[0])
                    return None
                held.grow(max(size, declared))
                if (values := values + sum(map(piece.count, _BEFORE_VALUES))) > MOST_VALUES:
                    raise _Crowded
        except TimeoutError:
            message = "The body of the request came too slowly"
            await refuse(scope, receive, send, 408, message, connection="close")
        except _Crowded:
            message = "The request holds more values than any call does; nothing was done"
            await refuse(scope, receive, send, 400, message, connection="close")
        except _Full:
            message = "This server holds as many large requests as it can; nothing was done. Send it again"
            await refuse(scope, receive, send, 503, message, retry_after="5", connection="close")
        else:
            return pieces
        return None

    async def _pieces(self, receive: Receive) -> AsyncIterator[bytes]:
        """What comes, until it is whole.

        Raises:
            TimeoutError: it comes too slowly.
        """
        began, size, more = time.monotonic(), 0, True
        while more:
            left = began + self._read_seconds + size / self._slowest - time.monotonic()
            with anyio.fail_after(max(0, min(left, self._read_seconds))):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def _refuse_large(self, scope: Scope, receive: Receive, send: Send, start: bytes) -> None:
        """Answer at once, and read on for a while: who still writes would not see the answer else.

        A client of SSE waits for an answer in its session: it gets that first, since some clients give up the
        session when they see the other.
        """
        if Headers(scope=scope).get("expect"):  # it asks first, and sends nothing after a no
            await refuse(scope, receive, send, 413, too_large(self._largest), connection="close")
            return
        pieces = self._pieces(receive)
        if not start:
            with anyio.move_on_after(_GLANCE_SECONDS), suppress(StopAsyncIteration, TimeoutError):
                start = await anext(pieces)
        if answered := await self._answer_in_session(scope, _ID_AT_START.match(start)):
            await anyio.sleep(_GLANCE_SECONDS)
        await refuse_early(send, 413, too_large(self._largest))
        end, size = start[-_END:], len(start)
        with suppress(TimeoutError, _Gone):
            async for piece in self._pieces(receive):
                size += len(piece)
                end = (end + piece[-_END:])[-_END:]
                if size > _READ_ON * self._largest:
                    break
        if not answered:
            await self._answer_in_session(scope, _ID_AT_END.search(end))
        await send({"type": "http.response.body"})

    async def _answer_in_session(self, scope: Scope, found: re.Match[bytes] | None) -> bool:
        """Hand on a small request with the same id, marked, whose answer says what is wrong."""
        if found and scope["path"].startswith("/messages/"):
            call = {"jsonrpc": "2.0", "id": json.loads(found[1]), "method": "tools/call"}
            body = json.dumps({**call, "params": {"name": "generate_image", "arguments": {}}}).encode()
            headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
            marked = {**scope, "headers": headers, TOO_LARGE: too_large(self._largest)}
            await self._app(marked, replay(deque([body]), stay), _to_nobody)
            return True
        return False


class _Room:
    """Bytes that all bodies share, and how many each caller has of them."""

    def __init__(self, size: int, small: int) -> None:
        self.left = size
        self.small = small
        self.share = size // 2
        self.held: Counter[str] = Counter()


class _Held:
    """What one body of a caller has of the room."""

    def __init__(self, room: _Room, caller: str) -> None:
        self._room = room
        self._caller = caller
        self._size = 0

    def grow(self, size: int) -> None:
        """Hold `size` bytes in all; none where that is few.

        Raises:
            _Full: there is no room for them.
        """
        room, caller = self._room, self._caller
        more = (size if size > room.small else 0) - self._size
        if more > max(0, min(room.left, room.share - room.held[caller])):
            raise _Full
        room.left -= more
        room.held[caller] += more
        self._size += more
        if not room.held[caller]:
            del room.held[caller]


def too_large(largest: int) -> str:
    """What is said of a request that is too large."""
    return (
        f"The request is larger than {largest // 1024**2} MiB; nothing was done. Give reference images as "
        "URLs, or fewer or smaller ones"
    )


def replay(pieces: deque[bytes], receive: Receive) -> Receive:
    """`receive`, with a body before all else."""

    async def replay() -> Message:
        if pieces:
            piece = pieces.popleft()
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
        return await receive()

    return replay


async def stay() -> Message:
    """The `receive` of a request that nobody has sent, whose client does not leave."""
    await anyio.sleep_forever()
    raise AssertionError  # pragma: no cover - for the type checker


async def _to_nobody(_message: Message) -> None:
    """The reply has gone out."""
