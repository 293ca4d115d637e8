"""Who asks. Each caller has generations, budgets and rates of their own."""

import re
from collections.abc import Mapping
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, principal_components

from mcp_server.errors import InvalidArgument, NotConfigured

LOCAL = "local"
"""The hosts of this machine, over stdio."""

KEY_HEADER = "X-Novita-Api-Key"

ANYBODY = "http"
"""Over the network, where no token is asked for: on loopback."""


def current_caller(*, remote: bool) -> str:
    """The caller of the request that is being answered."""
    if not remote:
        return LOCAL
    token = get_access_token()
    return name_of(token) if token else ANYBODY


def caller_in(scope: Mapping[str, Any]) -> str:
    """The caller of an HTTP request, before the protocol sees it."""
    token = getattr(scope.get("user"), "access_token", None)
    return name_of(token) if token else ANYBODY


def known_in(scope: Mapping[str, Any]) -> bool:
    """Whether an HTTP request was let in: by its token, or where none is asked for."""
    return "user" not in scope or hasattr(scope["user"], "access_token")


def name_of(token: AccessToken) -> str:
    """The caller that a checked token stands for; people of one issuer are told apart by their subject."""
    client, issuer, subject = principal_components(token)
    if issuer is None:
        return client
    return f"oauth:{issuer}|sub|{subject}" if subject else f"oauth:{issuer}|client|{client}"


def key_of_caller(request: Any, *, allowed: bool) -> str | None:
    """The API key that a request over HTTP brings with it, to be used for it alone; else None.

    Raises:
        NotConfigured: there is one, and it is not `allowed`. To use another in its place would bill another.
        InvalidArgument: it is none.
    """
    headers = getattr(request, "headers", {})
    if (key := headers.get(KEY_HEADER)) is None:
        return None
    if not allowed:
        raise NotConfigured(
            f"This server takes no API keys of callers, and the request has one in {KEY_HEADER}",
            "leave that header out of the host's configuration of this server; or whoever runs it may set "
            "SEEDREAM_HTTP_CALLER_KEYS=1",
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,512}", key):
        raise InvalidArgument(
            f"The header {KEY_HEADER} holds no API key", "a person must mend the host's configuration"
        )
    return str(key)
