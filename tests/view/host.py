"""A page of a host of MCP Apps, with the view in it: what the host tells it, what it has asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import TextResourceContents
from playwright.async_api import Frame, Page

from mcp_server.view import URI

MODULES = Path(__file__).parent / "node_modules"
AXE = MODULES / "axe-core" / "axe.min.js"

EVERYTHING: dict[str, Any] = {
    "openLinks": {},
    "serverTools": {},
    "serverResources": {},
    "message": {"text": {}},
    "updateModelContext": {"text": {}},
}
"""The capabilities of a host that has all that the view can use."""


def without(*names: str) -> dict[str, Any]:
    """The same without some of them."""
    return {name: value for name, value in EVERYTHING.items() if name not in names}


@dataclass
class Host:
    """One page of a host, with the view in it; `seen` is what the view has asked of it."""

    page: Page
    view: Frame
    client: Client

    async def seen(self, what: str) -> list[Any]:
        found: list[Any] = await self.page.evaluate("what => window.seen[what]", what)
        return found

    async def words(self) -> str:
        """All that can be read."""
        return await self.view.inner_text("main")

    async def facts(self) -> list[str]:
        """What is said of the picture that is large."""
        return await self.view.locator(".facts span").all_inner_texts()

    async def sources(self, selector: str = "img") -> list[str]:
        """Where the pictures come from."""
        found: list[str] = await self.view.eval_on_selector_all(selector, "all => all.map(one => one.src)")
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


async def read_resource(client: Client, uri: str) -> dict[str, Any]:
    result = await client.read_resource(uri)
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def fetch(client: Client) -> dict[str, Any]:
    """The view as the server gives it, and the policy that it wants."""
    (contents,) = (await client.read_resource(URI)).contents
    assert isinstance(contents, TextResourceContents)
    return {"text": contents.text, "csp": (contents.meta or {})["ui"]["csp"]}
