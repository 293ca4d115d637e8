"""Which `Host` and `Origin` a request may name: no web page may reach a server behind its visitor's back."""

import logging
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.errors import quote
from mcp_server.http.replies import refuse
from mcp_server.settings import Settings

logger = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Origins:
    """An ASGI app that lets in what the settings and the address `shown` name, web pages with CORS."""

    def __init__(self, app: ASGIApp, settings: Settings, shown: str) -> None:
        public = urlsplit(settings.public_url) if settings.public_url else None
        hosts = [*_LOOPBACK, shown, *([public.hostname] if public and public.hostname else [])]
        self._hosts = _pattern([*(f"{host}:*" for host in hosts), *hosts, *settings.allowed_hosts])
        origins = [f"http://{host}" for host in (*_LOOPBACK, shown)]
        origins += [f"{origin}:*" for origin in origins]
        if public:
            origins.append(f"{public.scheme}://{public.netloc}")
        self._origins = _pattern([*origins, *settings.allowed_origins])
        self._app = app
        self._with_cors = CORSMiddleware(
            app,
            allow_origin_regex=self._origins.pattern,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=("Mcp-Session-Id", "WWW-Authenticate", "X-Request-Id"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._hosts.fullmatch(host.lower()):
            logger.warning("refused a request to the host %s", quote(host))
            message = f"This server does not answer to the host {quote(host)}. A person may let it in by "
            message += "SEEDREAM_PUBLIC_URL or SEEDREAM_HTTP_ALLOWED_HOSTS"
            await refuse(scope, receive, send, 421, message)
        elif origin is None:
            await self._app(scope, receive, send)
        elif not self._origins.fullmatch(origin.lower()):
            logger.warning("refused a request from a page of %s", quote(origin))
            message = f"Pages of {quote(origin)} may not use this server. A person may let them in by "
            message += "SEEDREAM_HTTP_ALLOWED_ORIGINS"
            await refuse(scope, receive, send, 403, message)
        else:
            await self._with_cors(scope, receive, send)


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Any of the names, of which those with `:*` at their end have any port."""
    parts = (re.escape(name).replace(r":\*", r":\d{1,5}") for name in names)
    return re.compile("|".join(parts))
