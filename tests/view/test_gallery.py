"""The gallery of recent pictures: pages, one of them large, lists that can't be had."""

from typing import Any

import pytest
from playwright.async_api import expect

from mcp_server.emulator import Emulator
from tests.view import scenes
from tests.view.host import call_tool, without
from tests.view.scenes import generate, serving
from tests.view.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]


async def test_a_gallery_goes_back_and_forth_and_shows_one_large(stage: Stage, emulator: Emulator) -> None:
    async with scenes.gallery(stage, emulator) as shown:
        cards = shown.view.locator("button.card")
        newest = await cards.all_inner_texts()
        assert len(newest) == 12
        assert "outcome unknown" in newest[1]
        assert "failed" in newest[2]
        assert "The API's moderation refused" in newest[2]

        await shown.view.click("text=Older")
        await expect(cards).to_have_count(3)
        await expect(shown.view.locator(".gallery > .status")).to_have_text("Page 2, 3 generations.")
        assert "3 pictures" in (await cards.all_inner_texts())[1]
        await shown.view.dispatch_event("text=Older", "click")  # there is no such page
        await shown.view.click("button.card >> nth=1")
        await shown.view.wait_for_selector("h1:text-is('3 pictures')")
        await expect(shown.view.locator("h1")).to_be_focused()
        await shown.view.click("text=Recent pictures")
        await expect(cards.nth(1)).to_be_focused()

        await shown.view.click("text=Newer")
        await expect(cards).to_have_count(12)
        assert await cards.all_inner_texts() == newest
        calls = await shown.seen("calls")
        assert [call["limit"] for call in calls] == [12]


async def test_recent_pictures_open_under_a_result(stage: Stage, emulator: Emulator) -> None:
    async with scenes.recent(stage, emulator) as shown:
        assert len(await shown.sources("button.card img")) == 2
        await shown.view.click("button.card >> nth=1")
        await shown.view.wait_for_selector("h2:text-is('1 picture')")
        await shown.view.click("[aria-expanded=true]:has-text('Recent')")
        assert not await shown.view.is_visible(".gallery")


async def test_a_list_that_cant_be_had_says_so(stage: Stage, emulator: Emulator) -> None:
    failure = "{ isError: true, content: [{ type: 'text', text: '[internal] It failed\\nmore' }] }"
    answers = (
        ("{ throw new Error('not now'); }", "not now"),
        (f"({failure})", "[internal] It failed"),
        ("new Promise(() => {})", "the host did not answer"),
    )
    async with serving(emulator) as client, stage.host(client, clock=True) as shown:
        await shown.tell("sendToolResult", {"content": [{"type": "text", "text": ""}], "isError": True})
        assert "The server gave no reason." in await shown.words()
        for answer, said in answers:
            await shown.page.evaluate(f"() => {{ bridge.oncalltool = () => {answer}; }}")
            await shown.view.click("[aria-expanded=false]")
            await shown.page.clock.fast_forward("01:01")
            await shown.view.wait_for_selector(f"text=The list could not be had: {said}")
            await shown.view.click("[aria-expanded=true]")


RECORD = {"generation_id": "a1", "created": "2026-03-04T12:00:00+00:00", "prompt": "x", "size": "1024x1024"}


def listing(*generations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"content": [], "structuredContent": {"generations": generations, **more}}


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("unknown", "It is not known what became of this"),
        ("failed", "Failed"),
        ("pending", "Making a picture…"),
        ("constructor", "No pictures"),
    ],
)
async def test_a_generation_without_pictures_is_titled_by_what_became_of_it(
    status: str, title: str, stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.tell("sendToolResult", listing(RECORD | {"status": status}))
        assert "native code" not in await shown.words()
        await shown.view.click("button.card")
        await shown.view.wait_for_selector(f"h1:text-is('{title}')")
        assert (await shown.facts())[0] == "1024 \N{MULTIPLICATION SIGN} 1024"
        assert "native code" not in await shown.words()


async def test_a_page_on_which_nothing_fits_says_so_and_asks_for_nothing_older(
    stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.tell("sendToolResult", listing(left_out=1, more=True))
        await shown.view.wait_for_selector("text=There are pictures that could not be listed here.")
        assert "No pictures yet" not in await shown.words()
        assert not await shown.view.is_visible("nav")


async def test_a_page_that_the_model_asked_for_leads_to_the_newest(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client:
        oldest = await generate(client, "the oldest")
        for prompt in ("the second", "the newest"):
            await generate(client, prompt)
        async with stage.host(client) as shown:
            page = await call_tool(client, "list_images", {"limit": 2})
            before = page["structuredContent"]["generations"][-1]["generation_id"]
            await shown.call("list_images", before=before)
            await shown.view.wait_for_selector("nav >> text=Older pictures")
            assert "Page 1" not in await shown.words()
            await shown.view.click("text=Newest")
            await expect(shown.view.locator("button.card")).to_have_count(3)
            await expect(shown.view.locator("h1")).to_be_focused()
            assert "before" not in (await shown.seen("calls"))[0]
            assert not await shown.view.is_visible("nav")
            await shown.call("list_images", before=oldest["generation_id"])
            await shown.view.wait_for_selector("text=No older pictures.")
        async with stage.host(client, capabilities=without("serverTools")) as shown:
            await shown.call("list_images", before=before, limit=1)
            await shown.view.wait_for_selector("text=There are newer ones: ask for them in the conversation.")


async def test_a_list_is_known_by_its_text_where_the_host_names_no_tool(
    stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        for text in ("No generations are on record.", "No older generations are on record."):
            await shown.tell("sendToolResult", {"content": [{"type": "text", "text": text}]})
            await shown.view.wait_for_selector("text=No pictures yet.")
        await generate(client, "a paper boat")
        content = (await call_tool(client, "list_images", {}))["content"]
        await shown.tell("sendToolResult", {"content": content})
        await expect(shown.view.locator("button.card")).to_contain_text("a paper boat")
        assert "The bytes of a picture" not in await shown.words()
        await shown.call("list_images", limit=99)
        await shown.view.wait_for_selector("h1:text-is('The call failed')")
