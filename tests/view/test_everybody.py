"""Whatever a host hands over, and whoever looks at it."""

import base64
from pathlib import Path

import pytest
from playwright.async_api import expect

from mcp_server.emulator import Emulator
from mcp_server.view import document
from tests.conftest import fault, image_bytes
from tests.view import scenes
from tests.view.scenes import BATCH, SCENES, generate, serving
from tests.view.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]


# Whatever a host hands over


@pytest.mark.parametrize("kept", ["text", "resource_link", "structured"])
async def test_any_part_of_a_result_is_enough_for_the_pictures(
    kept: str, stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client:
        whole = (await client.call_tool("generate_image", BATCH | {"max_images": 2})).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        links = [image["url"] for image in whole["structuredContent"]["images"]]
        part = {"content": [block for block in whole["content"] if block["type"] == kept]}
        if kept == "structured":
            part["structuredContent"] = whole["structuredContent"]
        async with stage.host(client) as shown:
            await shown.tell("sendToolInput", {"arguments": BATCH})
            await shown.tell("sendToolResult", part)
            await shown.view.wait_for_selector("h1:text-is('2 pictures')")
            await shown.all_seen()
            assert await shown.sources("[role=tab] img") == links
            assert "1280 \N{MULTIPLICATION SIGN} 832" in await shown.words()
            if kept != "resource_link":
                assert "seedream-4.0" in await shown.words()
                assert "expires in 23 h" in await shown.words()


async def test_a_list_is_read_from_its_text_where_there_is_no_more(
    stage: Stage, emulator: Emulator, tmp_path: Path
) -> None:
    async with serving(emulator, SEEDREAM_SAVE_DIR=str(tmp_path)) as client:
        made = await generate(client, "a lighthouse: tall")
        emulator.app.faults.add(fault(times=1, status=400, reason="ILLEGAL_PROMPT", message="no"))
        await client.call_tool("generate_image", {"prompt": "refused"})
        whole = await client.call_tool("list_images", {})
        text = whole.content[0].model_dump(mode="json", by_alias=True, exclude_none=True)
        context = {"toolInfo": {"tool": {"name": "list_images", "inputSchema": {"type": "object"}}}}
        async with stage.host(client, context=context) as shown:
            await shown.tell("sendToolInput", {"arguments": {}})
            await shown.view.wait_for_selector("text=Looking for recent pictures…")
            await shown.tell("sendToolResult", {"content": [text]})
            await expect(shown.view.locator("button.card").nth(0)).to_contain_text("The API's moderation")
            await shown.view.click("text=a lighthouse: tall")
            await shown.all_seen()
            assert await shown.sources() == [made["images"][0]["url"]]
            assert f"Saved as {tmp_path}" in await shown.words()
            await shown.call("list_images", limit=99)
            await shown.view.wait_for_selector("h1:text-is('The list could not be had')")


async def test_a_text_without_pictures_is_shown_as_it_is(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.tell("sendToolResult", {"content": [{"type": "text", "text": "Something\nelse."}]})
        await shown.view.wait_for_selector("h1:text-is('No pictures')")
        assert "Something\nelse." in await shown.words()
        preview = {
            "type": "image",
            "data": base64.b64encode(image_bytes(8, 8)).decode(),
            "mimeType": "image/jpeg",
        }
        await shown.tell("sendToolResult", {"content": [preview]})
        await shown.all_seen()
        assert len(await shown.sources()) == 1


async def test_on_its_own_the_view_says_where_it_belongs(stage: Stage) -> None:
    page = await stage.browser.new_page()
    await page.set_content(document())
    await page.wait_for_selector("text=This view is part of a conversation.")
    await page.close()


HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"


async def test_hostile_texts_are_texts(stage: Stage, emulator: Emulator) -> None:
    image = {
        "index": 1,
        "url": "javascript:alert(1)",
        "mime_type": "text/html",
        "expires_at": "never",
        "resource": "javascript:alert(1)",
        "saved_path": HOSTILE,
        "width": "wide",
        "height": 2,
    }
    structured = {
        "generation_id": "../../x",
        "status": HOSTILE,
        "images": [image, "no image", None, image | {"url": "data:text/html,x", "index": -1}],
        "requested": {"model": HOSTILE, "prompt": HOSTILE, "size": HOSTILE, "images": 7},
        "warnings": [HOSTILE, 1, None],
        "recovered": "yes",
        "emulated": 1,
    }
    async with serving(emulator) as client, stage.host(client) as shown:
        heard: list[str] = []
        shown.page.on("dialog", lambda dialog: heard.append(dialog.message))
        await shown.tell("sendToolInput", {"arguments": {"prompt": [HOSTILE], "size": {}, "images": HOSTILE}})
        await shown.tell("sendToolResult", {"content": [], "structuredContent": structured})
        await shown.view.wait_for_selector("h1:text-is('2 pictures')")
        await shown.all_seen()
        assert (await shown.words()).count(HOSTILE) == 6
        assert await shown.view.locator("img, main script, main a").count() == 0
        listing = {"content": [], "structuredContent": {"generations": [structured, None, {"images": 1}]}}
        await shown.tell("sendToolResult", listing)
        await expect(shown.view.locator("button.card")).to_have_count(2)
        failure = {"content": [{"type": "text", "text": HOSTILE}], "isError": True}
        await shown.tell("sendToolResult", failure)
        await shown.view.wait_for_selector("h1:text-is('The call failed')")
        assert HOSTILE in await shown.words()
        assert heard == []


# For everybody


async def test_all_can_be_done_by_keyboard(stage: Stage, emulator: Emulator) -> None:
    async with scenes.batch(stage, emulator) as shown:
        press = shown.page.keyboard.press

        async def focused() -> str:
            script = "() => document.activeElement.ariaLabel ?? document.activeElement.textContent"
            return str(await shown.view.evaluate(script))

        await shown.view.focus("[role=tab] >> nth=0")
        for key, at in (("ArrowRight", 2), ("ArrowDown", 11), ("End", 15), ("ArrowDown", 15), ("Home", 1)):
            await press(key)
            assert await focused() == f"Picture {at}"
            alt = await shown.view.get_attribute(".shown img", "alt") or ""
            assert alt.startswith(f"Picture {at} of 15")
        seen = []
        for _ in range(4):
            await press("Tab")
            seen.append(await focused())
        assert seen == ["Open", "Copy link", "Edit this one", "Recent pictures"]
        outline = "() => getComputedStyle(document.activeElement).outlineStyle"
        assert await shown.view.evaluate(outline) == "solid"
        await press("Shift+Tab")
        await press("Enter")
        await shown.page.keyboard.type("make it green")
        await press("Escape")
        assert await focused() == "Edit this one"
        await press("Tab")
        await press("Enter")
        await shown.view.wait_for_selector("button.card")
        await press("Tab")
        await press("ArrowRight")
        assert "a paper boat on a pond" in await focused()
        await press("Enter")
        await shown.view.wait_for_selector("h2:text-is('1 picture')")


@pytest.mark.parametrize("name", ["batch", "gallery", "error", "blind"])
async def test_nothing_is_wider_than_a_phone(name: str, stage: Stage, emulator: Emulator) -> None:
    async with SCENES[name](stage, emulator, width=360) as shown:
        for width in (360, 320):
            await shown.page.set_viewport_size({"width": width, "height": 1800})
            script = "() => document.documentElement.scrollWidth"
            await shown.view.wait_for_function(f"() => innerWidth === {width}")
            assert await shown.view.evaluate(script) <= width


async def test_nothing_moves_when_the_pictures_come(stage: Stage, emulator: Emulator) -> None:
    boxes = "all => all.map(one => JSON.stringify(one.getBoundingClientRect()))"
    async with serving(emulator) as client:
        await generate(client, "a paper boat")
        async with stage.host(client, height=1400) as shown:  # a frame that grows would count as a reason
            await shown.view.evaluate(
                "() => { window.shifts = 0; new PerformanceObserver((list) => {"
                " for (const one of list.getEntries()) shifts += one.value;"
                " }).observe({ type: 'layout-shift', buffered: true }); }"
            )
            await shown.tell("sendToolInput", {"arguments": BATCH})
            await shown.view.wait_for_selector(".filmstrip")
            before = await shown.view.eval_on_selector_all(".frame, .prompt", boxes)
            await shown.call("generate_image", **BATCH)
            await shown.view.wait_for_selector("h1:text-is('15 pictures')")
            await shown.all_seen()
            assert await shown.view.eval_on_selector_all(".frame, .prompt", boxes) == before
            assert (
                await shown.view.evaluate("() => new Promise(requestAnimationFrame).then(() => shifts)") == 0
            )


@pytest.mark.parametrize("name", SCENES)
async def test_axe_finds_nothing_wrong_in_either_theme(name: str, stage: Stage, emulator: Emulator) -> None:
    async with SCENES[name](stage, emulator) as shown:
        for theme in ("light", "dark"):
            await shown.change(theme=theme)
            await expect(shown.view.locator("html")).to_have_css("color-scheme", theme)
            assert await shown.violations() == []
