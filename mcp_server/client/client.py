"""One POST to the API. Pooled, with a bound on all that may come back."""

import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import anyio
import httpx

from mcp_server import telemetry
from mcp_server.client.body import RequestBody
from mcp_server.client.failures import from_exception, from_response
from mcp_server.client.pool import LOT, Pool
from mcp_server.client.replies import Reply, read_reply
from mcp_server.client.retry import wait_before_retry
from mcp_server.errors import BadUpstreamReply, NotConfigured, UpstreamError

logger = logging.getLogger(__name__)

BALANCE_PATH = "/openapi/v1/billing/balance/detail"
CONNECT_SECONDS = 15.0
SECONDS_PER_FURTHER_IMAGE = 40.0
LARGEST_REPLY = 1024 * 1024
"""Bytes. Fifteen links are some 10 kB; nothing honest is larger than this."""


class SeedreamClient:
    """The API at `base_url`, spoken to with `api_key`.

    Raises:
        NotConfigured: a proxy, CA or base URL setting that can't be used.

    Connections are pooled. Proxy and CA variables of the environment hold (`trust_env`). `transport`
    replaces the network in tests; `sleep` the waiting.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_seconds: float,
        trust_env: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._secret = api_key
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        try:
            self._host = httpx.URL(base_url).host
            options: dict[str, Any] = {
                "base_url": base_url,
                # identity: replies are small, and what is not compressed can't be a decompression bomb.
                "headers": {"Accept-Encoding": "identity"},
                "trust_env": trust_env,
                # How many run at once is decided above; a second limit here could only starve.
                "limits": httpx.Limits(max_connections=None, max_keepalive_connections=LOT),
            }
            if transport:
                options["transport"] = transport
            else:
                options["verify"] = httpx.create_ssl_context(trust_env=trust_env)  # once for all lots
            self._pool = Pool(lambda: httpx.AsyncClient(**options))
        except (OSError, ImportError, ValueError, httpx.InvalidURL) as error:
            # What httpx raises for them, ssl.SSLError being an OSError; its texts may hold passwords.
            raise NotConfigured(
                f"A network setting can't be used ({type(error).__name__})",
                "a person must check SSL_CERT_FILE, SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, "
                "NO_PROXY and NOVITA_BASE_URL, and restart the server",
            ) from None

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._pool.aclose()

    async def generate(
        self, path: str, body: Mapping[str, Any], images: int, key: str | None = None
    ) -> Reply:
        """The links to the pictures that the API makes of `body`, of which at most `images` are due.

        `key` takes the place of the client's own.

        Sent again only where surely nothing was billed.

        Raises:
            UpstreamError: which of its kinds says what happened, and whether it may have been billed.
        """
        seconds = self._timeout_seconds + SECONDS_PER_FURTHER_IMAGE * (images - 1)
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        encoded = RequestBody(body)
        for attempt in count(1):
            try:
                with telemetry.attempt(self._host, path):
                    return await self._post(path, encoded, images, timeout, key or self._secret)
            except UpstreamError as error:
                # Not cryptography: the jitter only spreads callers.
                wait = wait_before_retry(error, attempt, random.random())  # noqa: S311 - no secret
                if wait is None:
                    raise
                logger.info("attempt %d: %s; trying again in %.1f s", attempt, error.code, wait)
                telemetry.retrying(attempt, error.code, wait)
            await self._sleep(wait)
        raise AssertionError  # pragma: no cover - count() does not end; for the type checker

    async def balance(self) -> object:
        """What the account's balance call says, as JSON; free, and a proof that the key is accepted.

        Raises:
            UpstreamError: the API refused the key, or could not be asked; nothing is billed.
        """
        try:
            with anyio.fail_after(CONNECT_SECONDS * 2):
                headers = {"Authorization": f"Bearer {self._secret}"}
                async with (
                    self._pool.client() as http,
                    http.stream("GET", BALANCE_PATH, headers=headers, timeout=CONNECT_SECONDS) as response,
                ):
                    content = await _read(response)
        except (httpx.RequestError, TimeoutError) as error:
            raise from_exception(error, whole=False) from error
        if response.is_success:
            try:
                return json.loads(content or b"")
            except (ValueError, RecursionError):
                return None
        raise from_response(response.status_code, response.headers, content or b"", self._secret)

    async def _post(
        self, path: str, body: RequestBody, images: int, timeout: httpx.Timeout, key: str
    ) -> Reply:
        try:
            # httpx bounds each read; the whole is bounded here, against a reply that trickles.
            with anyio.fail_after(CONNECT_SECONDS + (timeout.read or 0)):
                headers = {
                    "Authorization": f"Bearer {key}",
                    "Content-Type": "application/json",
                    "Content-Length": str(body.length),
                }
                async with (
                    self._pool.client() as http,
                    http.stream("POST", path, content=body, headers=headers, timeout=timeout) as response,
                ):
                    content = await _read(response)
        except (httpx.RequestError, TimeoutError) as error:
            raise from_exception(error, whole=body.handed_out) from error
        telemetry.answered(response.status_code)
        if response.is_success:
            if content is None:
                raise BadUpstreamReply(
                    "The API's reply is too large", "tell the person; do not repeat the call"
                )
            return read_reply(content, images, key)
        raise from_response(response.status_code, response.headers, content or b"", key)


async def _read(response: httpx.Response) -> bytes | None:
    """The body, or None where it is larger than any honest one."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > LARGEST_REPLY:
            return None
    return bytes(content)
