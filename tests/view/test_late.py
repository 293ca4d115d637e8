"""What comes late, or never, or where it was not expected: messages, answers, the time."""

from typing import Any

import pytest
from playwright.async_api import expect

from mcp_server.emulator import Emulator
from tests.view import scenes
from tests.view.host import Host, call_tool, without
from tests.view.scenes import BATCH, SMALL, generate, serving
from tests.view.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]


async def heard(shown: Host) -> None:
    """Wait until the view has taken what it was told."""
    await shown.page.evaluate("() => askView('ping')")


# Messages


@pytest.mark.parametrize("method", ["__proto__", "__defineGetter__", "constructor", "toString"])
async def test_a_message_with_the_name_of_what_every_object_has_is_none(
    method: str, stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.page.evaluate(
            "method => document.querySelector('iframe').contentWindow.postMessage("
            "{ jsonrpc: '2.0', method }, '*')",
            method,
        )
        await heard(shown)  # what was thrown, the stage would have noticed


SIZES = ("2048x1024", "2048 x 1024", "2048X1024", "2048*1024", "2048\N{MULTIPLICATION SIGN}1024")
