"""Streamable HTTP and SSE: one server, one `Generations`, whatever the transport's lifespans do."""

import logging
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from mcp_server.endings import signals
from mcp_server.generations import Generations
from mcp_server.hosts import is_loopback
from mcp_server.platforms import allow_files
from mcp_server.server import SETTLE_SECONDS
from mcp_server.settings import Settings
from mcp_server.sockets import listen

if TYPE_CHECKING:
    import socket

logger = logging.getLogger(__name__)

_GRACEFUL_SECONDS = 2
_QUIET_SECONDS = 0.4
_KEEP_ALIVE_SECONDS = 75
_SHORT = 16
_EVERY = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_SPARE_CONNECTIONS = 100
_SPARE_FILES = 512


def bind(host: str, port: int, settings: Settings) -> "socket.socket":
    """The socket to serve HTTP on; port 0 takes a free one.

    Raises:
        OSError: the address can't be bound.
        ValueError: others reach it, and nothing would keep strangers out.
    """
    if not is_loopback(host):
        if not settings.needs_token:
            raise ValueError(
                f"--host {host!r} is not this machine's loopback, and without a token anybody who reaches it "
                "could spend your balance. Set SEEDREAM_HTTP_TOKEN (or SEEDREAM_HTTP_TOKENS, or "
                "SEEDREAM_OAUTH_ISSUER), or use --host 127.0.0.1"
            )
        if settings.oauth_issuer and not settings.public_url:
            raise ValueError(
                "SEEDREAM_PUBLIC_URL is missing: with OAuth clients must be told where to find this server"
            )
    return listen(host, port)


async def serve_http(settings: Settings, listener: "socket.socket", *, streamable: bool) -> None:
    """Serve SSE at `/sse`, and if `streamable` also Streamable HTTP at `/mcp`, until SIGINT or SIGTERM.

    The log line on stderr names the URL.
    """
    # Only these transports need a web server.
    import uvicorn

    from mcp_server.http.layers import Layers
    from mcp_server.http.patience import patient
    from mcp_server.web import QuietServer

    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    if not is_loopback(host):
        logger.warning(
            "others reach this server: let a proxy with TLS stand in front, or tokens can be overheard"
        )
        if not (settings.public_url or settings.allowed_hosts or host not in _EVERY):
            logger.warning(
                "what is not addressed to localhost is answered 421: set SEEDREAM_PUBLIC_URL to the address "
                "that clients use, or SEEDREAM_HTTP_ALLOWED_HOSTS"
            )
        if settings.shortest_token < _SHORT:
            logger.warning("a token has fewer than %d characters: it can be guessed", _SHORT)
    if not (settings.api_key or settings.emulator or settings.caller_keys):
        logger.warning("NOVITA_API_KEY is not set: each call is refused, and /readyz answers 503")
    allow_files(2 * settings.most_connections + _SPARE_FILES)  # a call in flight takes two
    async with AsyncExitStack() as stack:
        generations = await stack.enter_async_context(Generations(settings, remote=True))
        layers = await stack.enter_async_context(
            Layers(generations, f"{shown}:{port}", streamable=streamable)
        )
        config = uvicorn.Config(
            layers.app,
            http=patient(settings.read_seconds),
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            # Beside those that `limits` counts, some that are idle, or probes.
            limit_concurrency=settings.most_connections + _SPARE_CONNECTIONS,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
        web = QuietServer(config)

        async def end() -> None:
            await layers.ending.wait()
            # With a result in hand clients come back at once, for what it means or for another page.
            quiet = _QUIET_SECONDS if generations.busy else SETTLE_SECONDS
            await generations.drain()  # those who wait are still connected, and get their results
            await layers.server.answered(_GRACEFUL_SECONDS, quiet=quiet)
            web.handle_exit(signal.SIGTERM, None)  # by which the SDK's streams learn of it, too

        logger.info("listening on http://%s:%d%s", shown, port, "/mcp" if streamable else "/sse")
        with signals(layers.ending.set, generations.hurry):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end)
                await web.serve(sockets=[listener])
                tasks.cancel_scope.cancel()
