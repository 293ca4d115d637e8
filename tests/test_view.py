"""The view in a real Chromium, embedded by the official bridge's host, over a real server and the emulator."""

from collections.abc import AsyncIterator

import pytest

from mcp_server.emulator import Emulator
from tests.conftest import APPS, host
from tests.view.host import Stage, missing

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    if reason := missing():
        pytest.skip(reason)
    async with Stage(tmp_path_factory.mktemp("stage")).set() as stage:
        yield stage


async def test_a_result_is_shown_large_with_what_was_asked_for(stage: Stage, emulator: Emulator) -> None:
    async with host({"extensions": [APPS]}, NOVITA_BASE_URL=emulator.url) as client:
        async with stage.host(client) as shown:
            await shown.call("generate_image", prompt="a lighthouse at dusk", size="1024x1024")
            await shown.view.wait_for_selector("h1:text-is('1 picture')")
            await shown.all_seen()
            await shown.page.screenshot(path="/tmp/view/first.png")
