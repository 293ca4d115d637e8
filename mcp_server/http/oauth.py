"""OAuth 2.1, this server being the resource: whose access tokens are taken, and how clients learn it.

Tokens are JWTs (RFC 9068 and its forerunners), checked here with the issuer's public keys.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

import jwt
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter
from starlette.routing import Route

from mcp_server.http.issuer import ALGORITHMS, IssuerKeys

logger = logging.getLogger(__name__)

LONGEST_TOKEN = 8192
"""Characters; header lines of servers and proxies end there, too."""

_LEEWAY_SECONDS = 30.0
_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
_ROOT = "/.well-known/oauth-protected-resource"

# An issuer is compared to the letter, so that no slash may be added to it.
_URL: TypeAdapter[AnyHttpUrl] = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))


class OAuthVerifier:
    """The SDK's `TokenVerifier` for JWTs of the issuer of `keys` that are meant for one of `audiences`.

    Scopes are read, not required: a token that lacks one is good, and 403 the answer.
    """

    def __init__(self, keys: IssuerKeys, audiences: Sequence[str]) -> None:
        self._keys = keys
        self._audiences = tuple(audiences)

    async def verify_token(self, token: str) -> AccessToken | None:
        """What `token` says of its bearer; None for one that is not good.

        Raises:
            IssuerUnavailable: whether it is good can't be told now.
        """
        try:
            claims = await self._claims(token)
        except jwt.PyJWTError as error:
            # By its class alone: texts may quote the token.
            logger.info("a token was refused: %s", type(error).__name__)
            return None
        return self._access(token, claims)

    async def aclose(self) -> None:
        """Close the connections to the issuer."""
        await self._keys.aclose()

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise jwt.InvalidTokenError
        header = jwt.get_unverified_header(token)
        algorithm, kind = header.get("alg"), header.get("typ")
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
            raise jwt.InvalidTokenError
        # By its id alone: a key, or the URL of one, in the token itself would be the sender's word.
        key = await self._keys.find(header.get("kid"), algorithm)
        if not key:
            raise jwt.InvalidKeyError
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audiences,
            issuer=self._keys.issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )
        # The leeway is for clocks that are behind the issuer's; nothing is good beyond its end.
        if int(claims["exp"]) <= time.time():
            raise jwt.ExpiredSignatureError
        return claims

    def _access(self, token: str, claims: dict[str, Any]) -> AccessToken | None:
        client = _text(claims, "client_id") or _text(claims, "azp")
        subject = _text(claims, "sub")
        if not client and not subject:
            logger.info("a token was refused: it names neither a subject nor a client")
            return None
        return AccessToken(
            token=token,
            client_id=client,
            subject=subject or None,
            scopes=_words(claims.get("scope")) or _words(claims.get("scp")),
            expires_at=int(claims["exp"]),
            resource=next(name for name in self._audiences if name in _listed(claims["aud"])),
            claims={"iss": self._keys.issuer},
        )


def resources_of(public_url: str, *, streamable: bool) -> tuple[str, ...]:
    """The URLs that clients name when they ask the issuer for a token, and that its `aud` then has.

    One for each transport: clients refuse metadata of a resource that is not at, or above, the URL
    that they were given.
    """
    return (f"{public_url}/mcp", f"{public_url}/sse") if streamable else (f"{public_url}/sse",)


def metadata_url(resource: str) -> str:
    """Where the metadata of `resource` is: `resource_metadata` in a `WWW-Authenticate` header."""
    return str(build_resource_metadata_url(_URL.validate_python(resource)))


def metadata_routes(resources: Sequence[str], issuer: str, scopes: Sequence[str]) -> list[Route]:
    """Metadata of protected resources (RFC 9728), for anybody to read.

    The first of `resources` is also at the root, where older clients look.
    """
    routes = [
        route
        for resource in resources
        for route in create_protected_resource_routes(
            _URL.validate_python(resource), [_URL.validate_python(issuer)], list(scopes) or None
        )
    ]
    return [*routes, Route(_ROOT, routes[0].endpoint, methods=["GET", "OPTIONS"])]


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _words(value: Any) -> list[str]:
    """The scopes in `scope`, which is a string, or `scp`, which may be a list."""
    return [word for text in _listed(value) if isinstance(text, str) for word in text.split()]
