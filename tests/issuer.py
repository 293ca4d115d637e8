"""A real authorization server on loopback, whose keys change and which can be broken.

It knows one grant (client credentials), takes any secret, and issues what a test asks for.
"""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import anyio
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mcp_server.sockets import listen
from mcp_server.web import QuietServer

AUDIENCE = "https://images.example.com/mcp"

Broken = Literal["error", "garbage", "list", "nested", "huge", "redirect"]

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def private_key(algorithm: str, number: int = 0) -> Any:
    """A private key for `algorithm`; another `number`, another key. RSA's serve all of its algorithms."""
    return _made(algorithm if algorithm in _CURVES or algorithm == "EdDSA" else "RSA", number)


@cache
def _made(kind: str, _number: int) -> Any:
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "EdDSA" else ec.generate_private_key(_CURVES[kind])


@dataclass
class Key:
    """A pair of keys as the issuer has it; `members` change or (None) drop what its JWKS says of it."""

    id: str = "one"
    algorithm: str = "RS256"
    number: int = 0
    members: dict[str, Any] = field(default_factory=dict)

    @property
    def private(self) -> Any:
        return private_key(self.algorithm, self.number)

    @property
    def public(self) -> dict[str, Any]:
        made: Any = get_default_algorithms()[self.algorithm]
        public = made.to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        public |= {"kid": self.id, "alg": self.algorithm, "use": "sig"} | self.members
        return {name: value for name, value in public.items() if value is not None}


class Issuer:
    """One issuer at a free port; its state may be changed at any time. While `held` is not set, it hangs."""

    def __init__(self, path: str = "") -> None:
        self._socket = listen("127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.issuer = self.base + path
        self._path = path
        self.reset()

    def reset(self) -> None:
        """As it was at first: one is enough for many tests."""
        self.metadata = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.base}/keys",
            "token_endpoint": f"{self.base}/token",
            "authorization_endpoint": f"{self.base}/authorize",
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
        }
        self.metadata_paths = {f"/.well-known/oauth-authorization-server{self._path.rstrip('/')}"}
        self.keys: list[Any] = [Key()]
        self.broken: Broken | None = None
        self.held = anyio.Event()
        self.held.set()
        self.requests: Counter[str] = Counter()

    @property
    def asked(self) -> int:
        """How often its keys were asked for."""
        return self.requests["/keys"]

    def token(self, key: Key | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for the claims given: None drops one."""
        key = key or self.keys[0]
        now = int(time.time())
        good = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300}
        payload = {name: value for name, value in (good | claims).items() if value is not None}
        return jwt.encode(payload, key.private, key.algorithm, headers={"kid": key.id} | (headers or {}))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Issuer"]:
        routes = [
            Route("/token", self._issue, methods=["POST"]),
            Route("/{path:path}", self._tell),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        server = QuietServer(config)
        serving = asyncio.ensure_future(server.serve(sockets=[self._socket]))
        try:
            yield self
        finally:
            self.held.set()
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await serving

    async def _tell(self, request: Request) -> Response:
        path = request.url.path
        self.requests[path] += 1
        await self.held.wait()
        if path in self.metadata_paths:
            return self._answer(self.metadata)
        if path == "/keys":
            return self._answer({"keys": [key.public if isinstance(key, Key) else key for key in self.keys]})
        return Response(status_code=404)

    def _answer(self, document: dict[str, Any]) -> Response:
        if self.broken == "redirect":
            return RedirectResponse(f"{self.base}/elsewhere")
        good = json.dumps(document).encode()
        bodies = {
            "garbage": b"<html>",
            "list": b"[]",
            "nested": b'{"keys":' * 100_000,
            "huge": good + b" " * 1024**2,  # good, but for its size
        }
        return Response(
            bodies.get(self.broken or "", good),
            status_code=500 if self.broken == "error" else 200,
            media_type="application/json",
        )

    async def _issue(self, request: Request) -> Response:
        self.requests["/token"] += 1
        form = dict(parse_qsl((await request.body()).decode()))
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic" or form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        client = unquote(base64.b64decode(credentials).decode().partition(":")[0])
        token = self.token(
            headers={"typ": "at+jwt"},
            sub=client,
            client_id=client,
            aud=form.get("resource"),
            scope=form.get("scope"),
        )
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 300})
