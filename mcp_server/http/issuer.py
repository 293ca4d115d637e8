"""The keys of an authorization server: found by its metadata, kept, and asked for again when they change."""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from starlette.authentication import AuthenticationError

from mcp_server.network_settings import check_url

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""So long keys are used without asking again."""

STALE_SECONDS = 86_400.0
"""So long they are used while the issuer can't be reached."""

AGAIN_SECONDS = 30.0
"""Between two questions at least: whoever sends made-up key ids must not make us hammer the issuer."""

RETRY_SECONDS = 5.0
"""The same while there is no key at all, so that nobody can be let in."""

LARGEST_REPLY = 1024**2
"""Bytes. A dozen keys are some 10 kB."""

_STEP_SECONDS = 5.0

_KEY_TYPES: dict[str, tuple[str, str | None]] = {
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
ALGORITHMS = tuple(_KEY_TYPES)
"""Those that only the issuer's private key can sign with. Never `none`, and none with a shared secret."""


class IssuerUnavailable(AuthenticationError):
    """The issuer's keys can't be had now, so that nobody can tell whether a token is good."""


class _Unusable(Exception):
    """What the issuer answered is no use; `str()` of it says why, without its text."""


class IssuerKeys:
    """The public keys of `issuer`, at `jwks_url` or where its metadata says.

    `transport` replaces the network in tests, `clock` the seconds since any moment; a question takes at
    most `seconds`. One at a time: callers who need the same answer wait for it together, and it outlives
    those who leave.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = 10.0,
    ) -> None:
        self.issuer = issuer
        self._jwks_url = jwks_url
        self._transport = transport
        self._clock = clock
        self._seconds = seconds
        self._keys: list[dict[str, Any]] = []
        self._read_at = self._asked_at = -math.inf
        self._failed = False  # the last question
        self._asking: asyncio.Task[None] | None = None
        self._http: httpx.AsyncClient | None = None

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key that a token names, or the only one that fits where it names none; None: there is none.

        Raises:
            IssuerUnavailable: there may be one, but the issuer can't be asked.
        """
        found = self._choose(key_id, algorithm)
        if not found or self._clock() - self._read_at > FRESH_SECONDS:
            asking = self._ask()
            # With a key at hand nobody waits for an issuer that did not answer the last time.
            if asking and not (found and self._failed):
                await asyncio.shield(asking)
                found = self._choose(key_id, algorithm)
        if not found and self._failed:
            raise IssuerUnavailable("the issuer of the token can't be reached: try again")
        return found

    async def aclose(self) -> None:
        """Stop asking, and close the connections."""
        if self._asking:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        if self._http:
            await self._http.aclose()

    def _choose(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        if self._clock() - self._read_at > STALE_SECONDS:
            self._keys = []
        fitting = [key for key in self._keys if _fits(key, algorithm) and key_id in (None, key.get("kid"))]
        if not fitting or (key_id is None and len(fitting) > 1):
            return None  # which of several is meant, is not for us to guess
        try:
            return jwt.PyJWK(fitting[0], algorithm)
        except jwt.PyJWTError:
            return None

    def _ask(self) -> asyncio.Task[None] | None:
        """The question under way, or a new one; None if the last is too recent."""
        if self._asking is None or self._asking.done():
            pause = RETRY_SECONDS if self._failed and not self._keys else AGAIN_SECONDS
            if self._clock() - self._asked_at < pause:
                return None
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._read())
        return self._asking

    async def _read(self) -> None:
        try:
            # Made here, so that a proxy or CA setting that can't be used is one more reason for no answer.
            self._http = self._http or self._client()
            async with asyncio.timeout(self._seconds):
                document = await _get(self._http, self._jwks_url or await self._find_keys(self._http))
            keys = document.get("keys")
            if not isinstance(keys, list):
                raise _Unusable("what should be its keys has none")
        except (_Unusable, httpx.HTTPError, httpx.InvalidURL, OSError, ImportError, ValueError) as error:
            if not self._failed:
                # The texts of httpx's errors may hold a URL with its query.
                reason = str(error) if isinstance(error, _Unusable) else type(error).__name__
                logger.warning("the keys of the issuer %s can't be had: %s", self.issuer, reason)
            self._failed = True
            return
        if self._failed:
            logger.info("the keys of the issuer %s can be had again", self.issuer)
        self._keys = [key for key in keys if isinstance(key, dict)]
        self._read_at, self._failed = self._clock(), False

    def _client(self) -> httpx.AsyncClient:
        # identity: replies are small, and what is not compressed can't be a decompression bomb.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        return httpx.AsyncClient(transport=self._transport, headers=headers, timeout=_STEP_SECONDS)

    async def _find_keys(self, http: httpx.AsyncClient) -> str:
        """Where the issuer's metadata says that its keys are."""
        reasons = []
        for url in _metadata_urls(self.issuer):
            try:
                metadata = await _get(http, url)
                if metadata.get("issuer") != self.issuer:
                    raise _Unusable(f"{url} names another issuer")
                return _checked(metadata.get("jwks_uri"))
            except _Unusable as error:
                reasons.append(str(error))
        raise _Unusable("; ".join(reasons))


async def _get(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    shown = url.partition("?")[0]
    body = bytearray()
    # Redirects are not followed: they are no answer of the issuer's own.
    async with http.stream("GET", url) as response:
        if response.status_code != httpx.codes.OK:
            raise _Unusable(f"{shown} answered HTTP {response.status_code}")
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST_REPLY:
                raise _Unusable(f"{shown} answered more than 1 MiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _Unusable(f"{shown} did not answer a JSON object")
    return document


def _metadata_urls(issuer: str) -> Iterator[str]:
    """RFC 8414, then OpenID discovery: in the way of RFC 8414, and in its own."""
    parts = urlsplit(issuer)
    base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{base}/.well-known/oauth-authorization-server{path}"
    yield f"{base}/.well-known/openid-configuration{path}"
    if path:
        yield f"{base}{path}/.well-known/openid-configuration"


def _checked(url: object) -> str:
    try:
        check_url(str(url).partition("?")[0])
    except ValueError as error:
        raise _Unusable(f"the jwks_uri in its metadata {error}") from None
    return str(url)


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    operations = key.get("key_ops", ["verify"])
    return (
        (key.get("kty"), key.get("crv")) == _KEY_TYPES[algorithm]
        and key.get("alg") in (None, algorithm)
        and key.get("use") in (None, "sig")
        and isinstance(operations, list)
        and "verify" in operations
    )
