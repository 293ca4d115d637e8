"""Streamable HTTP and SSE: one server, one `Generations`, whatever the transport's lifespans do."""

import logging
import signal
from typing import TYPE_CHECKING

import anyio

from mcp_server.endings import signals
from mcp_server.generations import Generations
from mcp_server.hosts import is_loopback
from mcp_server.http.disconnect import noticing
from mcp_server.server import SeedreamServer
from mcp_server.settings import Settings
from mcp_server.sockets import listen

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

LARGEST_BODY = 160 * 1024**2
"""Bytes of one HTTP request: ten references of 10 MB in base64, and some room."""

_GRACEFUL_SECONDS = 2


def bind(host: str, port: int) -> "socket.socket":
    """The socket to serve HTTP on; port 0 takes a free one.

    Raises:
        OSError: the address can't be bound.
        ValueError: it is not on loopback. There is no access control yet.
    """
    if not is_loopback(host):
        raise ValueError(
            f"--host {host!r} is not this machine's loopback, and this version has no tokens to keep "
            "strangers out, who could spend your balance. Use --host 127.0.0.1"
        )
    return listen(host, port)


async def serve_http(settings: Settings, listener: "socket.socket", *, streamable: bool) -> None:
    """Serve SSE at `/sse`, and if `streamable` also Streamable HTTP at `/mcp`, until SIGINT or SIGTERM.

    The log line on stderr names the URL.
    """
    # Only these transports need a web server.
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette

    from mcp_server.web import QuietServer

    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    names = {"127.0.0.1", "localhost", "[::1]", shown}
    security = TransportSecuritySettings(
        allowed_hosts=[entry for name in names for entry in (name, f"{name}:*")],
        allowed_origins=[entry for name in names for entry in (f"http://{name}", f"http://{name}:*")],
    )
    async with Generations(settings, remote=True) as generations:
        server = SeedreamServer(generations)
        app = server.sse_app(transport_security=security, max_request_body_size=LARGEST_BODY)
        path = "/sse"
        if streamable:
            http = server.streamable_http_app(transport_security=security, max_request_body_size=LARGEST_BODY)
            app = Starlette(
                routes=[*http.routes, *app.routes], lifespan=lambda _: server.session_manager.run()
            )
            path = "/mcp"
        config = uvicorn.Config(
            noticing(_one_reply(app)),
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
        web = QuietServer(config)
        ending = anyio.Event()

        async def end() -> None:
            await ending.wait()
            await generations.drain()  # those who wait are still connected, and get their results
            await server.answered(_GRACEFUL_SECONDS)
            web.handle_exit(signal.SIGTERM, None)  # by which the SDK's streams learn of it, too

        logger.info("listening on http://%s:%d%s", shown, port, path)
        with signals(ending.set, generations.hurry):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end)
                await web.serve(sockets=[listener])
                tasks.cancel_scope.cancel()


def _one_reply(app: "ASGIApp") -> "ASGIApp":
    """`app`, with the start of a second reply to the same request dropped, so that its end ends the first.

    The SDK's SSE endpoint answers once more, with nothing, when its stream ends; at a shutdown, with the
    client still there, the web server would log that as an error with a traceback.
    """

    async def guarded(scope: "Scope", receive: "Receive", send: "Send") -> None:
        started = False

        async def send_once(message: "Message") -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                if started:
                    return
                started = True
            await send(message)

        try:
            await app(scope, receive, send_once)
        except ValueError:
            # How the SDK's SSE endpoint ends a request that it has refused, after it has said so.
            if not started:
                raise

    return guarded
