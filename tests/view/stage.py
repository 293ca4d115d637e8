"""A real Chromium, and the two origins of a host: its own, and that of its sandboxed frames."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp import Client
from playwright.async_api import Browser, BrowserContext, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mcp_server.sockets import listen
from mcp_server.web import QuietServer
from tests.view.host import EVERYTHING, MODULES, Host, call_tool, fetch, read_resource

_PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A host</title><link rel="icon" href="data:,">
<style>body { margin: 0 } iframe { display: block; width: 100%; border: 0 }</style>
<body><script src="/host.js"></script></body></html>"""

_KEPT = {"Content-Type": "text/javascript", "Cache-Control": "max-age=3600"}
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
        arguments = [
            "--bundle",
            "--minify",
            "--format=iife",
            "--log-level=warning",
            f"--outfile={self._script}",
        ]
        with anyio.fail_after(60):
            await anyio.run_process([program, MODULES.parent / "host.mjs", *arguments])
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
                    self._browsing = await self._new_context()
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
        address = f"{self._sandbox}/view/{len(self._views) - 1}"
        embedding = {
            "address": address,
            "capabilities": capabilities,
            "context": {"theme": "light", "locale": "en-GB", "timeZone": "UTC"} | (context or {}),
            **options,
        }
        # One context for all, but for a clock, which is the whole context's: the bridge is compiled once.
        browsing = await self._new_context() if clock else self._browsing
        async with await browsing.new_page() as page:
            outside: list[str] = []
            trouble: list[str] = []
            page.on("request", lambda one: outside.append(one.url) if _is_outside(one.url) else None)
            page.on("pageerror", lambda error: trouble.append(str(error)))
            await page.set_viewport_size({"width": width, "height": 1800})
            if clock:
                await page.clock.install()
            await page.expose_function("callTool", lambda name, given: call_tool(client, name, given or {}))
            await page.expose_function("readResource", lambda uri: read_resource(client, uri))
            await page.goto(self._host)
            await page.evaluate("embedding => embed(embedding)", embedding)
            yield Host(page, next(one for one in page.frames if one.url == address), client)
            assert (outside, trouble) == ([], [])

    async def _new_context(self) -> BrowserContext:
        context = await self.browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(15_000)
        await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=self._host)
        return context

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(_PAGE)

    async def _code(self, _request: Request) -> Response:
        return Response(
            self._script.read_bytes(),
            headers={"Content-Type": "text/javascript", "Cache-Control": "max-age=3600"},
        )

    async def _view(self, request: Request) -> Response:
        html, policy = self._views[request.path_params["number"]]
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def _is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "about:", "blob:"))
