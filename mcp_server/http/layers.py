"""What a request over the network passes through, outermost first.

`log` (a line for each request), health and OAuth metadata beside the rest, then `origins`, `access`,
`limits`, `bodies`, and the SDK's transports.
"""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from mcp.server.request_state import RequestStateSecurity
from mcp.server.streamable_http_manager import DEFAULT_SESSION_IDLE_TIMEOUT
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Router

from mcp_server.generations import Generations
from mcp_server.http.access import Tokens, protected
from mcp_server.http.bodies import LARGEST_BODY, Bodies
from mcp_server.http.disconnect import noticing
from mcp_server.http.health import Health
from mcp_server.http.limits import Ending, Limits
from mcp_server.http.log import AccessLog
from mcp_server.http.origins import Origins
from mcp_server.http.replies import refuse
from mcp_server.server import SeedreamServer
from mcp_server.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Layers:
    """The ASGI `app` over `generations`. An async context manager: what it started ends with it.

    `address` is the host and port that clients on this machine use. `ending` is set when no new call is to be
    taken.
    """

    def __init__(self, generations: Generations, address: str, *, streamable: bool) -> None:
        self._generations = generations
        self._address = address
        self._streamable = streamable
        self._exits = AsyncExitStack()
        self.ending = anyio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await self._build(exits)
            self._exits = exits.pop_all()
        return self

    async def _build(self, exits: AsyncExitStack) -> None:
        settings = self._generations.settings
        app: ASGIApp = noticing(await self._transports(exits))
        if (
            self._generations.settings.shared
        ):  # else there is nobody who could take them, and the call's own answer says more
            app = Ending(app, self.ending.is_set)
        app = Limits(Bodies(app, settings.read_seconds), settings.most_connections, settings.most_requests)
        routes: list[BaseRoute] = [*Health(self._generations, self.ending.is_set).routes()]
        if settings.oauth_issuer:
            app = self._with_oauth(exits, app, settings, settings.oauth_issuer, routes)
        elif settings.needs_token:
            app = protected(app, Tokens(settings), settings)
        app = Origins(app, settings, self._address.rpartition(":")[0])
        self.app: ASGIApp = AccessLog(_exact(Router([*routes], redirect_slashes=False, default=app)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.__aexit__(kind, error, trace)

    def _with_oauth(
        self,
        exits: AsyncExitStack,
        app: "ASGIApp",
        settings: Settings,
        issuer: str,
        routes: list[BaseRoute],
    ) -> "ASGIApp":
        """`app`, for whoever has a token of `issuer`; `routes` gain what tells clients of it."""
        from mcp_server.http.issuer import IssuerKeys
        from mcp_server.http.oauth import OAuthVerifier, metadata_routes, metadata_url, resources_of

        resources = resources_of(
            settings.public_url or f"http://{self._address}", streamable=self._streamable
        )
        audiences = (settings.oauth_audience,) if settings.oauth_audience else resources
        verifier = OAuthVerifier(IssuerKeys(issuer, settings.oauth_jwks_url), audiences)
        exits.push_async_callback(verifier.aclose)
        routes.extend(metadata_routes(resources, issuer, settings.oauth_scopes))
        urls = [metadata_url(resource) for resource in resources]
        return protected(app, Tokens(settings, verifier), settings, urls)

    async def _transports(self, exits: AsyncExitStack) -> "ASGIApp":
        """The SDK's, whose own checks of hosts and sizes are made before."""
        settings = self._generations.settings
        if not settings.shared:
            self.server = SeedreamServer(self._generations)
            return await self._alone(exits, "/messages/", DEFAULT_SESSION_IDLE_TIMEOUT)
        from mcp_server.http.mailroom import Mailroom
        from mcp_server.http.replicas import Replicas
        from mcp_server.http.sessions import IDLE_SECONDS

        replicas = Replicas(settings.store_url or "")
        exits.push_async_callback(replicas.aclose)
        security = RequestStateSecurity(codec=replicas.key)
        self.server = SeedreamServer(self._generations, security=security)
        mailroom = Mailroom(await self._alone(exits, f"/messages/{replicas.id}/", IDLE_SECONDS), replicas)
        tasks = await exits.enter_async_context(anyio.create_task_group())
        exits.callback(tasks.cancel_scope.cancel)
        await tasks.start(replicas.run, mailroom.deliver)
        return mailroom

    async def _alone(self, exits: AsyncExitStack, messages: str, idle: float) -> "ASGIApp":
        """The transports of one process; `messages` is where those of SSE sessions are posted to.

        Sessions that are `idle` for so many seconds end.
        """
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        sse = self.server.sse_app(
            transport_security=unchecked, max_request_body_size=LARGEST_BODY, message_path=messages
        )
        sse.router.redirect_slashes = False
        if not self._streamable:
            return _one_reply(sse)
        http = self.server.streamable_http_app(
            transport_security=unchecked, max_request_body_size=LARGEST_BODY, session_idle_timeout=idle
        )
        await exits.enter_async_context(self.server.session_manager.run())
        both = Starlette(routes=[*http.routes, *sse.routes])
        both.router.redirect_slashes = False
        return _one_reply(both)


def _exact(app: "ASGIApp") -> "ASGIApp":
    """`app`, to which `/mcp/` is `/mcp`.

    A redirect would name the scheme that a proxy speaks here, and tokens would follow it without TLS.
    """

    async def exact(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["path"] in ("/mcp/", "/sse/"):
            scope["path"] = scope["path"].rstrip("/")
        await app(scope, receive, send)

    return exact


def _one_reply(app: "ASGIApp") -> "ASGIApp":
    """`app`, with the start of a second reply to the same request dropped, so that its end ends the first.

    The SDK's SSE endpoint answers once more, with nothing, when its stream ends; at a shutdown, with the
    client still there, the web server would log that as an error with a traceback.
    """

    async def guarded(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope.get("method") == "HEAD":  # to which the SDK's SSE endpoint would answer with a whole stream
            await refuse(scope, receive, send, 405, "Method Not Allowed", allow="GET, POST, DELETE")
            return
        started = complete = False

        async def send_once(message: "Message") -> None:
            nonlocal started, complete
            if message["type"] == "http.response.start":
                if started:
                    return
                started = True
            else:
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await app(scope, receive, send_once)
        except (ValueError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            # How the SDK's SSE endpoint ends a request that it has refused, after it has said so; and one
            # that it has accepted, and whose session has ended by then.
            if not started:
                raise
        if started and not complete:  # the SDK's streams end so when the server does
            await send({"type": "http.response.body"})

    return guarded
