"""The MCP App: a view of the pictures, for hosts that draw one (extension `io.modelcontextprotocol/ui`).

One HTML document without anything from outside. `View` offers it to the clients that take it; the others
see nothing of it. The document's parts lie beside this file.
"""

import re
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from mcp.server.apps import APP_MIME_TYPE, client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents

from mcp_server import __version__
from mcp_server.callers import current_caller
from mcp_server.generations import Generations
from mcp_server.hosts import is_host, is_loopback
from mcp_server.request import LONGEST_LIST

URI = "ui://seedream/pictures.html"
"""The resource of the view."""

_PART = re.compile(
    r'<link rel="stylesheet" href="(?P<style>[a-z]+\.css)">|<script src="(?P<script>[a-z]+\.js)"></script>'
)
_MOST_ORIGINS = 20


class View:
    """The view over one `Generations`."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations

    async def offer(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware: tell clients that draw views of it, where they list tools and resources; no others."""
        result = await call_next(ctx)
        if not isinstance(result, dict):
            return result
        if not client_supports_apps(ctx):
            if ctx.method == "server/discover":
                result["capabilities"].pop("extensions", None)
        elif ctx.method == "tools/list":
            for tool in result["tools"]:
                tool["_meta"] = {**tool.get("_meta", {}), "ui": {"resourceUri": URI}}
        elif ctx.method == "resources/list":
            result["resources"].append(
                {
                    "uri": URI,
                    "name": "pictures",
                    "title": "Pictures",
                    "description": "Shows the pictures of a result, and the recent ones",
                    "mimeType": APP_MIME_TYPE,
                    "_meta": await self._meta(current_caller(remote=self._generations.remote)),
                }
            )
        return result

    async def read(self, caller: str) -> ReadResourceContents:
        """The document, and what its frame must let it load."""
        return ReadResourceContents(document(), APP_MIME_TYPE, await self._meta(caller))

    async def _meta(self, caller: str) -> dict[str, Any]:
        # The API does not tell its image hosts: those are named that the caller's pictures came from. Until
        # there is one, and where a host keeps an older list, the view asks for the bytes.
        recent = await self._generations.ledger.recent(caller, LONGEST_LIST)
        origins = dict.fromkeys(filter(None, (_origin(url) for one in recent for url in one.urls)))
        return {
            "ui": {
                "csp": {"resourceDomains": list(origins)[:_MOST_ORIGINS]},
                "permissions": {"clipboardWrite": {}},
                "prefersBorder": True,
            }
        }


def document() -> str:
    """The view as one HTML document: the style and the scripts that `view.html` names stand in it."""
    folder = files(__name__)

    def joined(match: re.Match[str]) -> str:
        kind = "style" if match["style"] else "script"
        return f"<{kind}>\n{folder.joinpath(match[kind]).read_text('utf-8')}</{kind}>"

    whole = _PART.sub(joined, folder.joinpath("view.html").read_text("utf-8"))
    return whole.replace("{{version}}", __version__)


def _origin(url: str) -> str | None:
    """The origin of a link as a source in a Content-Security-Policy; None where it can't be one."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    wanted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not wanted or not is_host(host) or ":" in host:  # an IPv6 address is none there
        return None
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
