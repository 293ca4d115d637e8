"""The settings of a server that others reach over the network: who may call, from where, how much at once."""

import json
import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from mcp_server.hosts import is_host, is_loopback

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class NetworkSettings(BaseModel):
    """The part of `Settings` that only `--transport http` and `sse` use."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    http_token: SecretStr | None = Field(
        None,
        alias="SEEDREAM_HTTP_TOKEN",
        description="the bearer token that every caller must send, a secret",
    )
    http_tokens: dict[str, SecretStr] | None = Field(
        None,
        alias="SEEDREAM_HTTP_TOKENS",
        description='a JSON object of names and bearer tokens, `{"ann": "…", "bob": "…"}`: each is a caller '
        "of its own, with a history and budgets of its own",
    )
    oauth_issuer: str | None = Field(
        None,
        alias="SEEDREAM_OAUTH_ISSUER",
        description="the authorization server whose access tokens (JWTs) are taken, by its issuer URL",
    )
    oauth_audience: str | None = Field(
        None,
        alias="SEEDREAM_OAUTH_AUDIENCE",
        description="what a token's `aud` must name; unset: `SEEDREAM_PUBLIC_URL` with `/mcp` or `/sse`",
    )
    oauth_scopes: tuple[str, ...] = Field(
        (), alias="SEEDREAM_OAUTH_SCOPES", description="scopes that a token must have, separated by spaces"
    )
    oauth_jwks_url: str | None = Field(
        None,
        alias="SEEDREAM_OAUTH_JWKS_URL",
        description="where the issuer's keys are; unset: as its metadata says",
    )
    public_url: str | None = Field(
        None,
        alias="SEEDREAM_PUBLIC_URL",
        description="the URL at which clients reach it, without `/mcp`; its host and origin are let in",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        alias="SEEDREAM_HTTP_ALLOWED_HOSTS",
        description="further `Host` headers to let in, separated by commas; `name:*` for any port",
    )
    allowed_origins: tuple[str, ...] = Field(
        (),
        alias="SEEDREAM_HTTP_ALLOWED_ORIGINS",
        description="further `Origin` headers (web pages) to let in, separated by commas",
    )
    caller_keys: bool = Field(
        default=False,
        alias="SEEDREAM_HTTP_CALLER_KEYS",
        description="`1`: a caller may send an API key of their own in the header `X-Novita-Api-Key`, to pay "
        "by; it is used for that request only",
    )
    most_connections: int = Field(
        2000,
        ge=1,
        le=100_000,
        alias="SEEDREAM_HTTP_MAX_CONNECTIONS",
        description="connections at once in a process; over it 503 is answered",
    )
    most_requests: int = Field(
        1000,
        ge=1,
        le=100_000,
        alias="SEEDREAM_HTTP_MAX_REQUESTS",
        description="requests of one caller at once in a process; over it 429 is answered",
    )
    read_seconds: float = Field(
        20.0,
        gt=0,
        le=3600,
        alias="SEEDREAM_HTTP_READ_SECONDS",
        description="how long the head of a request, and each further piece of its body, may take",
    )
    log_format: Literal["text", "json"] = Field(
        "text", alias="SEEDREAM_LOG_FORMAT", description="`text`, or `json`: an object on each line"
    )
    trace_prompts: bool = Field(
        default=False,
        alias="SEEDREAM_OTEL_PROMPTS",
        description="`1`: traces hold the prompts, too",
    )

    @property
    def needs_token(self) -> bool:
        """Whether callers over the network must have a token."""
        return bool(self.http_token or self.http_tokens or self.oauth_issuer)

    @property
    def shortest_token(self) -> int:
        """Characters of the shortest token; many where there is none."""
        tokens = [*(self.http_tokens or {}).values(), *([self.http_token] if self.http_token else [])]
        return min((len(token.get_secret_value()) for token in tokens), default=2**16)

    @field_validator("http_token")
    @classmethod
    def _token_fits_a_header(cls, token: SecretStr) -> SecretStr:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("has spaces or characters that no bearer token has")
        return token

    @field_validator("http_tokens", mode="before")
    @classmethod
    def _tokens_are_an_object(cls, text: str) -> dict[str, str]:
        try:
            pairs = json.loads(text, object_pairs_hook=list)
        except ValueError:
            pairs = None
        if not isinstance(pairs, list) or not pairs or not all(map(_is_pair, pairs)):
            raise ValueError('must be a JSON object of names and tokens: {"ann": "…", "bob": "…"}')
        names, tokens = zip(*pairs, strict=True)
        if not all(map(_NAME.fullmatch, names)):
            raise ValueError("has a name that is not 1 to 64 letters, digits and . _ @ -")
        if not all(map(_TOKEN.fullmatch, tokens)):
            raise ValueError(
                "has a token that is empty, or has spaces or characters that no bearer token has"
            )
        if len(set(names)) < len(names) or len(set(tokens)) < len(tokens):
            raise ValueError("has a name or a token twice: each caller needs one of its own")
        return dict(pairs)

    @field_validator("oauth_scopes", mode="before")
    @classmethod
    def _scopes_are_listed(cls, value: str) -> tuple[str, ...]:
        return tuple(value.split())

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _names_are_listed(cls, value: str) -> tuple[str, ...]:
        return tuple(part.strip().lower() for part in value.split(",") if part.strip())

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(\d{1,5}|\*))?", host) for host in hosts):
            raise ValueError("must be as in a Host header: example.com, example.com:8443, example.com:*")
        return hosts

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s*]+(:\*)?", origin) for origin in origins):
            raise ValueError("must be origins: https://example.com, without a path")
        return origins

    @field_validator("public_url")
    @classmethod
    def _public_url_is_safe(cls, url: str) -> str:
        url = check_url(url)
        if url.endswith(("/mcp", "/sse")):
            raise ValueError("must be without /mcp or /sse at its end: there is one of each below it")
        return url

    @field_validator("oauth_issuer", "oauth_jwks_url")
    @classmethod
    def _url_is_safe(cls, url: str, info: ValidationInfo) -> str:
        check_url(url.partition("?")[0] if info.field_name == "oauth_jwks_url" else url)
        return url  # to the letter: a token's issuer is compared so

    @model_validator(mode="after")
    def _oauth_is_whole(self) -> Any:
        if not self.oauth_issuer and (self.oauth_audience or self.oauth_scopes or self.oauth_jwks_url):
            raise ValueError("SEEDREAM_OAUTH_ISSUER is missing, and other SEEDREAM_OAUTH_ settings need it")
        token = self.http_token
        if token and any(token == other for other in (self.http_tokens or {}).values()):
            raise ValueError("SEEDREAM_HTTP_TOKEN is in SEEDREAM_HTTP_TOKENS, too: whose is it?")
        return self


def check_url(url: str) -> str:
    """`url` without slashes at its end.

    Raises:
        ValueError: it is not an https URL, nor an http one on loopback, or has more than a path.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("is no URL") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ValueError("must look like https://example.com")
    if not is_host(host):
        raise ValueError("has a host name that can't be one")
    if not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ValueError("has spaces or characters that no URL has")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must be https: secrets would travel in the clear")
    return url.rstrip("/")


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple) and isinstance(pair[1], str)
