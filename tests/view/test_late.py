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


async def test_late_messages_leave_a_result_as_it_is(stage: Stage, emulator: Emulator) -> None:
    late: dict[str, dict[str, Any]] = {
        "sendToolInputPartial": {"arguments": {"prompt": "a li"}},
        "sendToolInput": {"arguments": {"prompt": "a lighthouse"}},
        "sendToolCancelled": {"reason": "user action"},
    }
    async with scenes.result(stage, emulator) as shown:
        picture = await shown.view.query_selector(".shown img")
        assert picture is not None
        for method, params in late.items():
            await shown.tell(method, params)
        await heard(shown)
        assert await picture.evaluate("one => one.isConnected")
        await shown.call("generate_image", prompt="a second one", size=SMALL)
        await shown.view.wait_for_selector(".prompt:text-is('a second one')")


async def test_a_cancelled_call_stays_cancelled_until_a_result_comes(
    stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.tell("sendToolCancelled", {})
        await shown.tell("sendToolInput", {"arguments": {"prompt": "a lighthouse"}})
        await heard(shown)
        assert "The call was cancelled." in await shown.words()
        await shown.tell("sendToolResult", await call_tool(client, "generate_image", {"prompt": "a boat"}))
        await shown.view.wait_for_selector("h1:text-is('1 picture')")


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


# Height


SIZES = ("2048x1024", "2048 x 1024", "2048X1024", "2048*1024", "2048\N{MULTIPLICATION SIGN}1024")


@pytest.mark.parametrize("width", [760, 340])
@pytest.mark.parametrize(
    "arguments",
    [
        *({"prompt": "a lighthouse", "size": size} for size in SIZES),
        BATCH | {"max_images": 3},
        {"prompt": "long " * 50 + "\n" * 9 + "prompt", "size": SMALL},
        {"prompt": "make it green", "size": SMALL, "images": []},
    ],
    ids=[*SIZES, "batch", "long", "edit"],
)
async def test_the_view_is_as_tall_before_the_result_as_with_it(
    arguments: dict[str, Any], width: int, stage: Stage, emulator: Emulator
) -> None:
    async with scenes.after_some(stage, emulator, width=width) as shown:
        tool = "generate_image"
        if "images" in arguments:
            made = await generate(shown.client, "a red bicycle")
            tool, arguments = "edit_image", arguments | {"images": [made["images"][0]["url"]]}
        await shown.tell("sendToolInput", {"arguments": arguments})
        await shown.view.wait_for_selector(".frame.pending")
        await shown.settled()
        before = await shown.seen("sizes")
        await shown.tell("sendToolResult", await call_tool(shown.client, tool, arguments))
        await shown.view.wait_for_selector("h1:not(:text('Making'))")
        await shown.all_seen()
        await heard(shown)
        assert await shown.seen("sizes") == before


async def test_a_prompt_of_many_lines_is_shown_by_its_first(stage: Stage, emulator: Emulator) -> None:
    prompt = "\n".join(map(str, range(300)))
    async with scenes.after_some(stage, emulator) as shown:
        await shown.call("generate_image", prompt=prompt, size=SMALL)
        line = shown.view.locator(".prompt")
        await expect(line).to_have_text("0\n1\n2\n3\n4\n5…")
        await shown.view.click("text=Show all")
        assert (await line.inner_text()).split() == prompt.split()


# Answers


async def test_a_host_that_never_answers_does_not_keep_the_edit(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client:
        await generate(client, "a paper boat")
        async with stage.host(client, clock=True) as shown:
            await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
            await shown.page.evaluate(
                "() => { window.answers = [];"
                " bridge.onmessage = () => new Promise((resolve) => answers.push(resolve)); }"
            )
            send = shown.view.locator("text=Send")
            await shown.view.click("text=Edit this one")
            await shown.view.fill("textarea", "make it green")
            await send.click()
            await shown.view.wait_for_selector("text=Waiting for the host…")
            await expect(send).to_be_disabled()
            await shown.view.click("text=Cancel")
            await shown.view.click("text=Edit this one")
            await expect(send).to_be_enabled()
            await send.click()
            await expect(send).to_be_disabled()
            await shown.page.clock.fast_forward("00:21")
            await shown.view.wait_for_selector("text=The host has not answered.")
            await expect(send).to_be_enabled()
            assert await shown.view.is_visible("text=Copy the text instead")
            await shown.page.evaluate("() => answers.forEach((answer) => answer({}))")
            await shown.view.wait_for_selector("text=Sent to the conversation.")
            await expect(shown.view.locator("textarea")).to_be_hidden()


# The time


HOUR = 3_600_000
"""In the clock's milliseconds."""


async def test_a_clock_that_is_days_ahead_hides_no_picture(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client:
        await generate(client, "a paper boat")
        async with stage.host(client, clock=True) as shown:
            await shown.page.clock.fast_forward(60 * HOUR)
            result = await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
            link = result["structuredContent"]["images"][0]["url"]
            await shown.view.wait_for_selector("img.there")
            assert await shown.sources() == [link]
            for name in ("Open", "Copy link", "Edit this one"):
                assert await shown.view.is_visible(f"text={name}")
            assert "expire" not in await shown.words()
            await shown.call("list_images")
            await shown.view.click("button.card")
            await shown.view.wait_for_selector(".large img.there")
            assert "expire" not in await shown.words()


async def test_a_result_of_days_ago_has_expired_once_its_link_was_tried(
    stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client:
        result = await call_tool(client, "generate_image", {"prompt": "a lighthouse", "size": SMALL})
        async with stage.host(client, clock=True, capabilities=without("serverResources")) as shown:
            emulator.app.store._records.clear()
            await shown.page.clock.fast_forward(60 * HOUR)
            await shown.tell("sendToolResult", result)
            await shown.view.wait_for_selector("text=This picture has expired.")
            await shown.view.wait_for_selector("text=The link has expired, and this server saved no copy.")
            assert (await shown.facts())[-1] == "expired"
            assert not await shown.view.is_visible("text=Copy link")


@pytest.mark.parametrize("focused", ["text=Copy link", "textarea"])
async def test_when_a_link_expires_the_focus_goes_to_the_words_that_say_so(
    focused: str, stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client:
        await generate(client, "a paper boat")
        async with stage.host(client, clock=True) as shown:
            await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
            await shown.view.click("text=Edit this one")
            await shown.view.focus(focused)
            await shown.page.clock.fast_forward("24:00:10")
            await expect(shown.view.locator(".explained")).to_be_focused()
            await expect(shown.view.locator(".explained")).to_contain_text("The link has expired")
