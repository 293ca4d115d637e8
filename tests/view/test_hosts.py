"""The view and its host: what is asked of it, what it refuses, what it says of itself."""

from itertools import pairwise
from pathlib import Path

import pytest
from mcp import Client
from playwright.async_api import expect

from mcp_server.emulator import Emulator
from tests.conftest import APPS, running
from tests.view import scenes
from tests.view.host import Host, without
from tests.view.scenes import BATCH, SMALL, serving
from tests.view.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]


# What can be done


async def test_the_link_is_opened_by_the_host_byte_for_byte(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
        await shown.view.click("text=Open")
        await shown.view.wait_for_selector("text=Opened.")
        link = result["structuredContent"]["images"][0]["url"]
        assert await shown.seen("opened") == [{"url": link}]


async def test_the_link_is_copied_and_that_is_said(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
        await shown.view.click("text=Copy link")
        await shown.view.wait_for_selector("[role=status]:text-is('Link copied.')")
        assert await shown.clipboard() == result["structuredContent"]["images"][0]["url"]


async def test_where_nothing_may_be_copied_the_link_is_shown_to_copy_by_hand(
    stage: Stage, emulator: Emulator
) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
        await shown.view.evaluate(
            "() => { navigator.clipboard.writeText = () => Promise.reject();"
            " document.execCommand = () => false; }"
        )
        await shown.view.click("text=Copy link")
        link = result["structuredContent"]["images"][0]["url"]
        assert await shown.view.input_value("textarea[readonly]") == link


async def test_an_edit_is_put_into_the_conversation(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", **BATCH | {"max_images": 2})
        await shown.view.click("[role=tab] >> nth=1")
        await shown.view.click("text=Edit this one")
        await shown.view.click("text=Send")
        await shown.view.wait_for_selector("text=Say first what should change.")
        await shown.view.fill("textarea", "make it <b>green</b>")
        await shown.view.press("textarea", "Enter")
        await shown.view.wait_for_selector("text=Sent to the conversation.")
        link = result["structuredContent"]["images"][1]["url"]
        words = (
            f"Change a picture with edit_image. In images, use this link exactly as it is:\n{link}\n\n"
            "What should change: make it <b>green</b>"
        )
        assert await shown.seen("messages") == [
            {"role": "user", "content": [{"type": "text", "text": words}]}
        ]
        assert not await shown.view.is_visible("textarea")


async def edit(shown: Host) -> None:
    await shown.view.click("text=Edit this one")
    await shown.view.fill("textarea", "make it green")
    await shown.view.click("text=Send")


async def test_without_messages_the_edit_goes_to_the_models_context(stage: Stage, emulator: Emulator) -> None:
    async with scenes.result(stage, emulator, capabilities=without("message")) as shown:
        await edit(shown)
        await shown.view.wait_for_selector("text=Noted for your next message")
        (context,) = await shown.seen("contexts")
        assert "edit_image" in context["content"][0]["text"]


async def test_a_host_without_optional_capabilities_shows_all_that_it_can(
    stage: Stage, emulator: Emulator
) -> None:
    async with scenes.result(stage, emulator, capabilities={}) as shown:
        assert not await shown.view.is_visible("text=Recent pictures")
        assert await shown.view.get_attribute("a:has-text('Open')", "target") == "_blank"
        await shown.view.click("text=Open")  # which the frame's sandbox lets nobody do
        await shown.view.wait_for_selector("text=this host opens no links from here")
        await edit(shown)
        await shown.view.wait_for_selector("text=Copied. Paste it into the conversation.")
        assert "make it green" in await shown.clipboard()


async def test_what_the_host_refuses_is_said(stage: Stage, emulator: Emulator) -> None:
    async with scenes.result(stage, emulator, refuse=["openLinks", "message"]) as shown:
        await shown.view.click("text=Open")
        await shown.view.wait_for_selector("text=The host did not open the link: it refused.")
        await edit(shown)
        await shown.view.wait_for_selector("text=The host did not take it: it refused.")
        assert await shown.view.input_value("textarea") == "make it green"
        await shown.view.click("text=Copy the text instead")
        await shown.view.wait_for_selector("text=Text copied.")
        await shown.page.evaluate("() => { bridge.onmessage = () => { throw new Error('too long'); }; }")
        await shown.view.click("text=Send")
        await shown.view.wait_for_selector("text=The host did not take it: too long.")


# The host's side


async def test_the_hosts_theme_and_tokens_are_followed_live(stage: Stage, emulator: Emulator) -> None:
    async with scenes.result(stage, emulator) as shown:

        async def style(selector: str, name: str) -> str:
            script = "(one, name) => getComputedStyle(one)[name]"
            return str(await shown.view.eval_on_selector(selector, script, name))

        light = await style("html", "backgroundColor")
        await shown.change(theme="dark")
        await expect(shown.view.locator("html")).to_have_css("color-scheme", "dark")
        assert await style("html", "backgroundColor") != light
        variables = {"--color-background-primary": "light-dark(#ffffff, #112233)", "--font-sans": "Georgia"}
        insets = {"top": 30, "right": 0, "bottom": 0, "left": 0}
        await shown.change(styles={"variables": variables}, safeAreaInsets=insets)
        await expect(shown.view.locator("html")).to_have_css("background-color", "rgb(17, 34, 51)")
        assert await style("body", "fontFamily") == "Georgia"
        assert await style("body", "paddingTop") == "46px"
        await shown.change(theme="light")
        await expect(shown.view.locator("html")).to_have_css("background-color", "rgb(255, 255, 255)")


async def test_times_are_told_in_the_persons_language_and_zone(stage: Stage, emulator: Emulator) -> None:
    context = {"locale": "de-DE", "timeZone": "Pacific/Kiritimati"}
    async with serving(emulator) as client, stage.host(client, context=context) as shown:
        record = {"generation_id": "a1", "status": "failed", "created": "2026-03-04T12:00:00+00:00"}
        listing = {"content": [], "structuredContent": {"generations": [record], "more": False}}
        await shown.tell("sendToolResult", listing)
        await shown.view.wait_for_selector("text=05.03.2026, 02:00")
        await shown.change(locale="no such", timeZone="Nowhere/None")
        await shown.tell("sendToolResult", listing)
        await shown.view.wait_for_selector("text=2026")


async def test_the_view_answers_what_a_host_may_ask_and_nothing_else(
    stage: Stage, emulator: Emulator
) -> None:
    async with scenes.result(stage, emulator) as shown:
        assert await shown.page.evaluate("() => bridge.teardownResource({})") == {}
        answers = await shown.page.evaluate("() => Promise.all([askView('ping'), askView('tools/list')])")
        assert answers[0]["result"] == {}
        assert answers[1]["error"]["code"] == -32601


async def test_nobody_but_the_host_is_heard(stage: Stage, emulator: Emulator) -> None:
    async with scenes.result(stage, emulator) as shown:
        await shown.view.evaluate(
            "() => new Promise((resolve) => {"
            " addEventListener('message', () => setTimeout(resolve));"
            " postMessage({ jsonrpc: '2.0', method: 'ui/notifications/tool-cancelled', params: {} }, '*'); })"
        )
        assert "cancelled" not in await shown.words()


async def test_the_frame_is_as_tall_as_the_view_and_comes_to_rest(stage: Stage, emulator: Emulator) -> None:
    async with scenes.recent(stage, emulator) as shown:
        await shown.settled()
        sizes = await shown.seen("sizes")
        assert len(sizes) <= 8
        assert all(one != other for one, other in pairwise(sizes))


async def test_where_the_host_sets_the_height_nothing_is_reported(stage: Stage, emulator: Emulator) -> None:
    for context in ({"displayMode": "fullscreen"}, {"containerDimensions": {"height": 700, "width": 760}}):
        async with serving(emulator) as client, stage.host(client, context=context, height=700) as shown:
            await shown.call("list_images")
            await shown.view.wait_for_selector("text=No pictures yet.")
            assert await shown.seen("sizes") == []


async def test_over_a_real_server_the_same(stage: Stage, emulator: Emulator, tmp_path: Path) -> None:
    arguments = ("serve", "--transport", "http", "--port", "0")
    store = f"sqlite:///{tmp_path / 'ledger.db'}"
    with running(
        *arguments, wait_for="listening on", NOVITA_BASE_URL=emulator.url, SEEDREAM_STORE_URL=store
    ) as (url, _):
        async with Client(url, extensions=[APPS]) as client, stage.host(client) as shown:
            await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
            await shown.view.wait_for_selector("h1:text-is('1 picture')")
            await shown.all_seen()
            await shown.view.click("text=Recent pictures")
            await expect(shown.view.locator("button.card")).to_have_count(1)
