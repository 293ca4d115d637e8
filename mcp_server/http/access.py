"""Who may call: bearer tokens of the settings, or of an OAuth issuer; the SDK's middleware asks for them."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Protocol

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken, TokenVerifier
from pydantic import AnyHttpUrl
from starlette.authentication import AuthenticationError
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.settings import Settings


class Closable(TokenVerifier, Protocol):
    """A verifier with something to let go of."""

    async def aclose(self) -> None:
        """Let go of it."""


class Tokens:
    """Checks tokens against those of the settings, then against the OAuth issuer's keys, if there is one."""

    def __init__(self, settings: Settings, issuer: Closable | None = None) -> None:
        tokens = {f"token:{name}": token for name, token in (settings.http_tokens or {}).items()}
        if settings.http_token:
            tokens["token"] = settings.http_token
        self._known = [(name, _digest(token.get_secret_value())) for name, token in tokens.items()]
        self._scopes = list(settings.oauth_scopes)
        self._issuer = issuer

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller of a token, by name; None where it is nobody's.

        Raises:
            AuthenticationError: it can't be told now.
        """
        digest, found = _digest(token), None
        for name, known in self._known:  # all of them: how long it takes must not tell which
            if hmac.compare_digest(digest, known):
                found = name
        if found:
            return AccessToken(token="", client_id=found, scopes=self._scopes)
        return await self._issuer.verify_token(token) if self._issuer else None


def protected(app: ASGIApp, tokens: Tokens, settings: Settings, metadata_urls: Sequence[str] = ()) -> ASGIApp:
    """`app`, for whoever has a token; others are told where to get one, if that is anywhere."""
    scopes = list(settings.oauth_scopes)
    doors = [RequireAuthMiddleware(app, scopes, AnyHttpUrl(url)) for url in metadata_urls]
    doors = doors or [RequireAuthMiddleware(app, scopes)]

    async def required(scope: Scope, receive: Receive, send: Send) -> None:
        # Each transport is a resource of its own: clients refuse what another's metadata say.
        door = doors[0] if scope["path"] == "/mcp" else doors[-1]
        await door(scope, receive, send)

    return AuthenticationMiddleware(
        AuthContextMiddleware(required), backend=BearerAuthBackend(tokens), on_error=_not_now
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _not_now(_connection: HTTPConnection, error: AuthenticationError) -> Response:
    body = {"error": "temporarily_unavailable", "error_description": str(error)}
    return JSONResponse(body, 503, {"Retry-After": "5"})
