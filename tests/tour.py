"""docs/tour.md and its pictures, made from the running program: `make tour`.

The transcript is of a server process over stdio, whose API is an emulator process, as in `make demo`; the
pictures of the view are of a real Chromium around the official host's side of MCP Apps.
"""

import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from mcp_server.emulator import Emulator

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "tour.md"

SHOWN = {
    "result": "A result. The expiry counts down; “Edit this one” asks what should change, and puts that into "
    "the conversation.",
    "batch": "A batch of fifteen.",
    "gallery": "The gallery: `list_images`, or “Recent pictures” below any result.",
    "error": "An argument error. Nothing was sent, and nothing was billed.",
}
"""The scenes of the view that the tour shows, and what it says of each."""

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "A batch. The number stands in the prompt, too, because the model decides by it how many to make.",
        "generate_image",
        {
            "prompt": "3 images of the same lighthouse: at dawn, at noon, at night",
            "sequential_image_generation": "auto",
            "max_images": 3,
            "size": "2560x1440",
        },
    ),
    (
        "An edit of the first picture, by its link.",
        "edit_image",
        {"prompt": "Make it winter, with snow on the rocks", "size": "2560x1440"},
    ),
    (
        "A mistake, which costs nothing: the answer says what would be right.",
        "generate_image",
        {"prompt": "A lighthouse", "size": "512x512", "n": 2},
    ),
]


@asynccontextmanager
async def at_work() -> AsyncIterator[tuple[str, Client]]:
    """The URL of an emulator, and a client of a server over stdio that uses it."""
    emulator = Emulator()
    async with anyio.create_task_group() as tasks:
        url = await tasks.start(emulator.serve)
        environment = {"NOVITA_BASE_URL": url, "NOVITA_API_KEY": "tour", "SEEDREAM_STORE_URL": "memory://"}
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "mcp_server"], env=environment, cwd=DOCS.parent
        )
        async with Client(server) as client:
            yield url, client
        tasks.cancel_scope.cancel()


async def transcript(client: Client) -> str:
    """The calls of the tour, and the text that an agent reads of each result."""
    parts, links = [], [""]
    for remark, tool, arguments in CALLS:
        given = {**arguments, "images": links[:1]} if tool == "edit_image" else arguments
        result = await client.call_tool(tool, given)
        (said,) = [block.text for block in result.content if isinstance(block, TextContent)]
        links = [image["url"] for image in (result.structured_content or {}).get("images", ())] or links
        call = json.dumps(given, indent=2, ensure_ascii=False)
        parts.append(f"{remark} `{tool}`:\n\n```json\n{call}\n```\n\n```text\n{said}\n```")
    return "\n\n".join(parts)


def steady(text: str) -> str:
    """`text` without what differs between two runs: ports, ids, signatures, times."""
    text = re.sub(r"http://127\.0\.0\.1:\d+/pictures/[^\s\"]+", "LINK", text)
    text = re.sub(r"\b[0-9a-f]{16,}\b", "ID", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|images today: \d+", "TIME", text)


def page(said: str) -> str:
    """The whole of docs/tour.md."""
    scenes = "\n\n".join(
        f"{text}\n\n| light | dark |\n|---|---|\n"
        f"| ![{name}, light](tour/{name}-light.jpg) | ![{name}, dark](tour/{name}-dark.jpg) |"
        for name, text in SHOWN.items()
    )
    return f"""# A tour

Written, with its pictures, by `make tour` from the running program. The pictures in it are an emulator's:
gradients with the prompt on them, which cost nothing.

## In a host that draws views

Hosts of MCP Apps show the tools' results like this. The others see nothing of it, and miss nothing: the text
below is what every agent reads.

{scenes}

On a phone:

![A batch on a phone](tour/batch-phone.jpg)

## What an agent reads

Three calls over stdio, and the text of each result as it came. Beside the text, hosts get a `resource_link`
for each picture and the same again as `structuredContent`.

{said}

## The emulator's page

What `mcp-server-seedream emulator` shows of these calls in a browser:

| light | dark |
|---|---|
| ![The emulator, light](tour/emulator-light.jpg) | ![The emulator, dark](tour/emulator-dark.jpg) |
"""


async def _make() -> None:
    from tests.view.scenes import SCENES
    from tests.view.stage import Stage

    folder = DOCS / "tour"
    folder.mkdir(parents=True, exist_ok=True)
    shots = [(name, theme, 760) for name in SHOWN for theme in ("light", "dark")]
    with tempfile.TemporaryDirectory() as scratch:
        async with Stage(Path(scratch)).set() as stage:
            for name, theme, width in [*shots, ("batch", "light", 360)]:
                emulator = Emulator()
                async with anyio.create_task_group() as tasks:
                    await tasks.start(emulator.serve)
                    options = {"context": {"theme": theme}, "width": width}
                    async with SCENES[name](stage, emulator, **options) as shown:
                        await shown.settled()
                        file = folder / f"{name}-{theme if width == 760 else 'phone'}.jpg"
                        await shown.page.locator("iframe").screenshot(path=file, type="jpeg", quality=80)
                    tasks.cancel_scope.cancel()
            async with at_work() as (url, client):
                PAGE.write_text(page(await transcript(client)), "utf-8")
                for theme in ("light", "dark"):
                    scheme: Any = theme
                    async with await stage.browser.new_page(color_scheme=scheme) as tab:
                        await tab.set_viewport_size({"width": 760, "height": 600})
                        await tab.goto(url, wait_until="networkidle")
                        file = folder / f"emulator-{theme}.jpg"
                        await tab.screenshot(path=file, type="jpeg", quality=80, full_page=True)


if __name__ == "__main__":
    anyio.run(_make)
