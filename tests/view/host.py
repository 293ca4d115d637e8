"""A host of MCP Apps in a real Chromium: the official bridge, a sandboxed frame, our server behind it."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp import Client
from mcp.types import TextResourceContents
from playwright.async_api import Browser, Frame, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mcp_server.sockets import listen
from mcp_server.view import URI
from mcp_server.web import QuietServer

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
AXE = MODULES / "axe-core" / "axe.min.js"

EVERYTHING: dict[str, Any] = {
    "openLinks": {},
    "serverTools": {},
    "serverResources": {},
    "message": {"text": {}},
    "updateModelContext": {"text": {}},
}
"""The capabilities of a host that has all that the view can use."""

_PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A host</title><link rel="icon" href="data:,">
<style>body { margin: 0 } iframe { display: block; width: 100%; border: 0 }</style>
<body><script src="/host.js"></script></body></html>"""

_ONLY_LOOPBACK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@cache
def chromium() -> str | None:
    """The browser of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def missing() -> str | None:
    """Why the view can't be tested, if it can't."""
    if chromium() is None:
        return "THE VIEW IS NOT TESTED: there is no chromium on this machine"
    if shutil.which("node") is None or not (MODULES / ".installed").exists():
        return "THE VIEW IS NOT TESTED: the host's side is not installed; `make test` does it where npm is"
    return None


def content_security_policy(csp: dict[str, list[str]]) -> str:
    """What the specification has a host make of `_meta.ui.csp`."""
    resources = " ".join(csp.get("resourceDomains", []))
    connections = " ".join(csp.get("connectDomains", [])) or "'none'"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'unsafe-inline' {resources}",
            f"style-src 'self' 'unsafe-inline' {resources}",
            f"img-src 'self' data: {resources}",
            f"font-src 'self' {resources}",
            f"media-src 'self' data: {resources}",
            f"connect-src {connections}",
            "frame-src 'none'",
            "object-src 'none'",
            "base-uri 'self'",
        ]
    )


@dataclass
class Host:
    """One page of a host, with the view in it; `seen` is what the view has asked of it."""

    page: Page
    view: Frame
    client: Client
    trouble: list[str] = field(default_factory=list)

    async def seen(self, what: str) -> list[Any]:
        found: list[Any] = await self.page.evaluate("what => window.seen[what]", what)
        return found

    async def tell(self, method: str, params: dict[str, Any]) -> None:
        """Have the bridge send something: `sendToolInput` and the like."""
        await self.page.evaluate("([method, params]) => bridge[method](params)", [method, params])

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A call by the model: its arguments and its result go to the view, as a host sends them."""
        await self.tell("sendToolInput", {"arguments": arguments})
        result = await call_tool(self.client, tool, arguments)
        await self.tell("sendToolResult", result)
        return result

    async def change(self, **context: Any) -> None:
        """Change the host's context, as far as named here."""
        await self.tell("sendHostContextChange", context)

    async def all_seen(self) -> None:
        """Wait until every picture in the view is there, or said to be missing."""
        await self.view.wait_for_function(
            "() => [...document.querySelectorAll('.frame')].every((frame) => !frame.checkVisibility() ||"
            " frame.querySelector('img.there, .missing'))"
        )

    async def settled(self) -> None:
        """Wait until the frame is as tall as the view."""
        height = "Math.ceil(document.documentElement.getBoundingClientRect().height)"
        await self.view.wait_for_function(f"() => innerHeight === {height}")

    async def clipboard(self) -> str:
        await self.page.bring_to_front()
        await self.page.evaluate("() => window.focus()")
        return str(await self.page.evaluate("() => navigator.clipboard.readText()"))

    async def violations(self) -> list[str]:
        """What axe finds wrong."""
        await self.view.evaluate(AXE.read_text())
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
        found = await self.view.evaluate(
            "tags => axe.run(document, { runOnly: tags, resultTypes: ['violations'] })", tags
        )
        return [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]


async def call_tool(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A tool's result as it stands on the wire."""
    result = await client.call_tool(tool, arguments)
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


class Stage:
    """A browser, and the two origins of a host: its own, and that of the frames."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "host.js"
        self._views: list[tuple[str, str]] = []
        self._sockets = [listen("127.0.0.1", 0) for _ in range(2)]
        self._host, self._sandbox = (f"http://127.0.0.1:{one.getsockname()[1]}" for one in self._sockets)
        self.browser: Browser

    @asynccontextmanager
    async def set(self) -> AsyncIterator["Stage"]:
        """Serve both origins and start the browser."""
        esbuild = MODULES / "@esbuild"
        program = next(esbuild.glob("*/bin/esbuild"))
        arguments = ["--bundle", "--format=iife", "--log-level=warning", f"--outfile={self._script}"]
        subprocess.run([program, FOLDER / "host.mjs", *arguments], check=True, timeout=60)
        routes = [
            Route("/", self._page),
            Route("/host.js", self._code),
            Route("/view/{number:int}", self._view),
        ]
        server = QuietServer(
            uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False, lifespan="off")
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, self._sockets)
            async with async_playwright() as playwright:
                self.browser = await playwright.chromium.launch(
                    executable_path=chromium(), args=["--no-sandbox", _ONLY_LOOPBACK]
                )
                try:
                    yield self
                finally:
                    await self.browser.close()
                    server.should_exit = True

    @asynccontextmanager
    async def host(
        self,
        client: Client,
        *,
        capabilities: dict[str, Any] = EVERYTHING,
        context: dict[str, Any] | None = None,
        width: int = 760,
        prefetched: dict[str, Any] | None = None,
        clock: bool = False,
        **options: Any,
    ) -> AsyncIterator[Host]:
        """A page of a host whose server is behind `client`, with the view in it.

        `prefetched` is the view as an earlier `fetch` had it; else it is read now. With `clock`, the page's
        time is the test's to move.
        """
        contents = prefetched or await fetch(client)
        self._views.append((contents["text"], content_security_policy(contents["csp"])))
        async with await self.browser.new_context(
            viewport={"width": width, "height": 1800}, reduced_motion="reduce"
        ) as browsing:
            await browsing.grant_permissions(["clipboard-read", "clipboard-write"], origin=self._host)
            page = await browsing.new_page()
            page.set_default_timeout(15_000)
            if clock:
                await page.clock.install()
            outside: list[str] = []
            trouble: list[str] = []
            page.on("request", lambda one: outside.append(one.url) if _is_outside(one.url) else None)
            page.on("pageerror", lambda error: trouble.append(str(error)))
            await page.expose_function("callTool", lambda name, given: call_tool(client, name, given or {}))
            await page.expose_function("readResource", lambda uri: read_resource(client, uri))
            await page.goto(self._host)
            address = f"{self._sandbox}/view/{len(self._views) - 1}"
            settings = {
                "address": address,
                "capabilities": capabilities,
                "context": {"theme": "light", "locale": "en-GB", "timeZone": "UTC"} | (context or {}),
                **options,
            }
            await page.evaluate("settings => embed(settings)", settings)
            view = next(one for one in page.frames if one.url == address)
            yield Host(page, view, client, trouble)
            assert (outside, trouble) == ([], [])

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(_PAGE)

    async def _code(self, _request: Request) -> Response:
        return Response(self._script.read_bytes(), media_type="text/javascript")

    async def _view(self, request: Request) -> Response:
        html, policy = self._views[request.path_params["number"]]
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})


async def read_resource(client: Client, uri: str) -> dict[str, Any]:
    result = await client.read_resource(uri)
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def fetch(client: Client) -> dict[str, Any]:
    """The view as the server gives it, and the policy that it wants."""
    (contents,) = (await client.read_resource(URI)).contents
    assert isinstance(contents, TextResourceContents)
    return {"text": contents.text, "csp": (contents.meta or {})["ui"]["csp"]}


def _is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "about:", "blob:"))
