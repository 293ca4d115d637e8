"""OAuth from end to end: a server process, a real issuer, and the SDK's own OAuth client that finds it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from mcp_server.sockets import listen
from tests.conftest import running, text_of
from tests.issuer import Issuer

pytestmark = pytest.mark.anyio


class Memory:
    """Where a client keeps its tokens."""

    tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError(client_info)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer().serving() as issuer:
        yield issuer


@pytest.fixture(scope="module")
async def base(issuer: Issuer) -> AsyncIterator[str]:
    """The base URL of a server that takes the tokens of `issuer`."""
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        with running(
            *("serve", "--transport", "http", "--port", str(port)),
            wait_for="listening on",
            SEEDREAM_EMULATOR="1",
            SEEDREAM_STORE_URL="memory://",
            SEEDREAM_OAUTH_ISSUER=issuer.issuer,
            SEEDREAM_OAUTH_SCOPES="images",
            SEEDREAM_PUBLIC_URL=f"http://127.0.0.1:{port}",
        ) as (url, _):
            yield url.removesuffix("/mcp")


@asynccontextmanager
async def connected(
    base: str, issuer: Issuer, *, name: str, path: str, mode: str = "legacy"
) -> AsyncIterator[Client]:
    """A client that knows its own name and secret, and the server's URL; the rest it finds."""
    url = f"{base}{path}"
    auth = ClientCredentialsOAuthProvider(url, Memory(), name, "secret", issuer=issuer.issuer)
    if path == "/sse":
        async with Client(sse_client(url, auth=auth), mode=mode) as client:
            yield client
        return
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            yield client


async def mine(client: Client) -> Any:
    listed = await client.call_tool("list_images", {})
    assert not listed.is_error
    return listed.structured_content


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_client_finds_the_issuer_gets_a_token_and_has_images_of_its_own(
    path: str, era: str, base: str, issuer: Issuer
) -> None:
    name = f"ann of {path} {era}"
    async with connected(base, issuer, name=name, path=path, mode=era) as client:
        made = await client.call_tool("generate_image", {"prompt": "a fox"})
        assert not made.is_error, text_of(made)
        link = made.structured_content["images"][0]["url"]
        assert link in str(await mine(client))
    async with connected(base, issuer, name="bob", path=path, mode=era) as client:
        assert link not in str(await mine(client))
    async with connected(base, issuer, name=name, path="/mcp", mode=era) as client:
        assert link in str(await mine(client))  # the same caller, by whatever way
    assert issuer.asked == 1


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/"])
async def test_who_has_no_good_token_is_told_where_to_get_one(path: str, base: str, issuer: Issuer) -> None:
    wrong = issuer.token(aud="https://other.example", scope="images")
    resource = path if path != "/messages/" else "/sse"
    async with httpx.AsyncClient() as http:
        for headers in ({}, {"Authorization": f"Bearer {wrong}"}, {"Authorization": "Bearer x"}):
            refused = await http.post(base + path, json={}, headers=headers)
            if path == "/sse":
                refused = await http.get(base + path, headers=headers)
            assert refused.status_code == 401
            told = refused.headers["WWW-Authenticate"]
            assert f'resource_metadata="{base}/.well-known/oauth-protected-resource{resource}"' in told


async def test_a_token_without_the_scope_is_not_enough(base: str, issuer: Issuer) -> None:
    token = issuer.token(aud=f"{base}/mcp", scope="email")
    async with httpx.AsyncClient() as http:
        refused = await http.post(f"{base}/mcp", json={}, headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


async def test_while_the_issuer_is_away_and_no_key_is_known_callers_are_asked_to_wait() -> None:
    async with Issuer().serving() as broken:
        broken.broken = "error"
        with running(
            *("serve", "--transport", "http", "--port", "0"),
            wait_for="listening on",
            SEEDREAM_EMULATOR="1",
            SEEDREAM_STORE_URL="memory://",
            SEEDREAM_OAUTH_ISSUER=broken.issuer,
            SEEDREAM_OAUTH_AUDIENCE="images",
        ) as (url, _):
            async with httpx.AsyncClient() as http:
                token = {"Authorization": f"Bearer {broken.token(aud='images')}"}
                reply = await http.post(url, json={}, headers=token)
    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) > 0
