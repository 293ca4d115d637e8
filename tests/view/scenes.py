"""What the view is shown in: each scene is a host's page with a real call behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp import Client

from mcp_server.emulator import Emulator
from mcp_server.generations import Generations
from mcp_server.server import SeedreamServer
from tests.conftest import APPS, Clock, fault, make_settings, no_sleep
from tests.view.host import EVERYTHING, Host, fetch
from tests.view.stage import Stage

SMALL = "1024x1024"

Scene = Callable[..., AbstractAsyncContextManager[Host]]


@asynccontextmanager
async def serving(emulator: Emulator, clock: Clock | None = None, **variables: str) -> AsyncIterator[Client]:
    """The client of a host that draws views, of a server whose API is `emulator`."""
    settings = make_settings(NOVITA_BASE_URL=emulator.url, **variables)
    now = clock or (lambda: datetime.now(UTC))
    async with Generations(settings, sleep=no_sleep, clock=now) as generations:
        async with Client(SeedreamServer(generations), extensions=[APPS]) as client:
            yield client


async def generate(client: Client, prompt: str, **arguments: Any) -> dict[str, Any]:
    """What a call made, as structured content."""
    result = await client.call_tool("generate_image", {"prompt": prompt, "size": SMALL} | arguments)
    assert not result.is_error, result.content
    made: dict[str, Any] = result.structured_content or {}
    return made


@asynccontextmanager
async def after_some(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    """A host in which a picture was made before, so that it knows where pictures come from."""
    async with serving(emulator) as client:
        await generate(client, "a paper boat on a pond")
        async with stage.host(client, **options) as shown:
            yield shown


@asynccontextmanager
async def result(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with after_some(stage, emulator, **options) as shown:
        await shown.call("generate_image", prompt=LIGHTHOUSE, size="1184x888")
        await shown.view.wait_for_selector("h1:text-is('1 picture')")
        await shown.all_seen()
        yield shown


LIGHTHOUSE = "A lighthouse on a basalt cliff at dusk, long exposure, soft fog over the sea, one warm window"


@asynccontextmanager
async def batch(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with after_some(stage, emulator, **options) as shown:
        await shown.call("generate_image", **BATCH)
        await shown.view.wait_for_selector("h1:text-is('15 pictures')")
        await shown.all_seen()
        yield shown


BATCH = {
    "prompt": "15 images: a fox through the seasons, woodcut in two colours",
    "size": "1280x832",
    "sequential_image_generation": "auto",
    "max_images": 15,
}


@asynccontextmanager
async def edit(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with serving(emulator) as client:
        made = await generate(client, "a red bicycle")
        async with stage.host(client, **options) as shown:
            await shown.call(
                "edit_image", prompt="make it green", images=[made["images"][0]["url"]], size="768x1366"
            )
            await shown.view.wait_for_selector("h1:text-is('1 picture')")
            await shown.all_seen()
            yield shown


@asynccontextmanager
async def making(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with serving(emulator) as client, stage.host(client, **options) as shown:
        await shown.tell("sendToolInput", {"arguments": BATCH})
        await shown.view.wait_for_selector("h1:text-is('Making up to 15 pictures…')")
        yield shown


@asynccontextmanager
async def error(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with serving(emulator) as client, stage.host(client, **options) as shown:
        await shown.call("generate_image", prompt="a lighthouse", size="512x512")
        await shown.view.wait_for_selector("h1:text-is('No picture was made')")
        yield shown


@asynccontextmanager
async def empty(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with serving(emulator) as client, stage.host(client, **options) as shown:
        await shown.call("list_images")
        await shown.view.wait_for_selector("text=No pictures yet.")
        yield shown


PROMPTS = (
    "a lighthouse on a cliff",
    "3 images: the same lighthouse in a storm, oil on canvas, seen from a small boat far below it",
    "a ceramic teapot on linen",
    "an aerial view of terraced rice fields after rain",
    "a fox in the snow",
    "2 images: a poster for a jazz concert",
    "an isometric bakery",
    "a glass of water, studio light",
    "a portrait of an old fisherman",
)


@asynccontextmanager
async def gallery(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    """Fifteen generations; of the newest ones, some failed or have unknown ends."""
    async with serving(emulator) as client:
        for number in range(12):
            prompt = PROMPTS[number % len(PROMPTS)]
            most = int(prompt[0]) if prompt[0].isdigit() else None
            several = {"sequential_image_generation": "auto", "max_images": most} if most else {}
            await generate(client, prompt, **several)
        emulator.app.faults.add(fault(times=1, status=400, reason="ILLEGAL_PROMPT", message="not this"))
        await client.call_tool("generate_image", {"prompt": "something refused", "size": SMALL})
        emulator.app.faults.add(fault(times=1, status=500, reason="TASK_FAILED", message="lost"))
        await client.call_tool("generate_image", {"prompt": "something lost on its way", "size": SMALL})
        await generate(client, "a paper boat on a pond")
        async with stage.host(client, **options) as shown:
            await shown.call("list_images", limit=12)
            await shown.view.wait_for_selector("h1:text-is('Recent pictures')")
            await shown.all_seen()
            yield shown


@asynccontextmanager
async def expired(
    stage: Stage, emulator: Emulator, saved_in: Path | None = None, **options: Any
) -> AsyncIterator[Host]:
    """A picture of two days ago, chosen in the gallery; saved in a folder, where there is one."""
    clock = Clock()
    clock.now = datetime.now(UTC)  # as the emulator's links have it
    folder = str(saved_in or "")
    async with serving(emulator, clock, SEEDREAM_SAVE_DIR=folder) as client:
        await generate(client, "a ceramic teapot on linen")
        clock.forward(hours=48)
        async with stage.host(client, **options) as shown:
            await shown.call("list_images")
            await shown.view.click("button.card")
            await shown.view.wait_for_selector("text=The link has expired")
            await shown.all_seen()
            yield shown


@asynccontextmanager
async def blocked(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    """The first picture of all: the host does not know yet where pictures come from."""
    async with serving(emulator) as client:
        prefetched = await fetch(client)
        async with stage.host(client, prefetched=prefetched, **options) as shown:
            await shown.call("generate_image", **BATCH | {"max_images": 4})
            await shown.view.wait_for_selector("h1:text-is('4 pictures')")
            await shown.all_seen()
            yield shown


@asynccontextmanager
async def blind(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    """The same in a host that reads no resources for the view: no way to the picture at all."""
    capabilities = {name: value for name, value in EVERYTHING.items() if name != "serverResources"}
    async with blocked(stage, emulator, capabilities=capabilities, **options) as shown:
        yield shown


@asynccontextmanager
async def editing(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with result(stage, emulator, **options) as shown:
        await shown.view.click("text=Edit this one")
        await shown.view.fill("textarea", "Make the window light blue")
        yield shown


@asynccontextmanager
async def recent(stage: Stage, emulator: Emulator, **options: Any) -> AsyncIterator[Host]:
    async with result(stage, emulator, **options) as shown:
        await shown.view.click("text=Recent pictures")
        await shown.view.wait_for_selector("button.card")
        await shown.all_seen()
        yield shown


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        result,
        batch,
        edit,
        making,
        error,
        empty,
        gallery,
        expired,
        blocked,
        blind,
        editing,
        recent,
    )
}
