"""What the view shows: results, links that expire, hosts that block."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from mcp_server.emulator import Emulator
from tests.conftest import fault
from tests.view import scenes
from tests.view.host import fetch
from tests.view.scenes import BATCH, SMALL, generate, serving
from tests.view.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]


# What is shown


async def test_a_result_is_shown_large_with_what_was_asked_for(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
        await shown.view.wait_for_selector("h1:text-is('1 picture')")
        await shown.all_seen()
        link = result["structuredContent"]["images"][0]["url"]
        assert await shown.sources() == [link]
        assert await shown.view.get_attribute("img", "alt") == "Picture: a lighthouse"
        assert await shown.facts() == [
            "1024 \N{MULTIPLICATION SIGN} 1024",
            "seedream-4.0",
            "expires in 23 h 59 min",
        ]
        assert "emulat" not in await shown.words()
        assert await shown.seen("reads") == []


async def test_a_batch_of_15_is_shown_with_one_large_and_all_small(stage: Stage, emulator: Emulator) -> None:
    async with scenes.batch(stage, emulator) as shown:
        links = await shown.sources("[role=tab] img")
        assert len(set(links)) == 15
        assert await shown.sources(".shown img") == links[:1]
        await shown.view.click("[role=tab] >> nth=11")
        assert await shown.sources(".shown img") == [links[11]]
        assert await shown.view.get_attribute("[role=tab] >> nth=11", "aria-selected") == "true"
        assert (await shown.view.get_attribute(".shown img", "alt") or "").startswith("Picture 12 of 15: 15")


async def test_where_the_model_picks_the_size_the_picture_tells_it(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        await shown.call("generate_image", prompt="a lighthouse, 16:9", size="1K")
        await shown.all_seen()
        await expect(shown.view.locator(".facts")).to_contain_text("1376 \N{MULTIPLICATION SIGN} 768")


async def test_an_edit_says_from_how_many_references(stage: Stage, emulator: Emulator) -> None:
    async with scenes.edit(stage, emulator) as shown:
        assert (await shown.facts())[:3] == [
            "768 \N{MULTIPLICATION SIGN} 1366",
            "seedream-4.0",
            "from 1 reference",
        ]


async def test_each_model_has_its_own_name_for_references(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator, SEEDREAM_MODEL="seedream-4.5") as client:
        made = await generate(client, "a red bicycle", size="1920x1920")
        async with stage.host(client) as shown:
            link = made["images"][0]["url"]
            await shown.call("edit_image", prompt="green", images=[link, link], size="1920x1920")
            await expect(shown.view.locator(".facts")).to_contain_text("seedream-4.5 from 2 references")


async def test_emulated_and_recovered_and_warnings_are_said(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a " * 700, size=SMALL)
        await expect(shown.view.locator("ul.warnings")).to_contain_text("600")
        result["structuredContent"] |= {"emulated": True, "recovered": True}
        await shown.tell("sendToolResult", result)
        await shown.view.wait_for_selector(".badge:text-is('emulated') + .badge:text-is('recovered')")
        assert "nothing was billed" in await shown.words()
        assert await shown.view.inner_text(".prompt") == "a " * 139 + "a…"
        await shown.view.click("text=Show all")
        assert (await shown.view.inner_text(".prompt")).split() == ["a"] * 700
        await shown.view.click("text=Show less")
        assert len(await shown.view.inner_text(".prompt")) < 300


async def test_an_error_says_what_to_do_and_whether_it_was_billed(stage: Stage, emulator: Emulator) -> None:
    async with scenes.error(stage, emulator) as shown:
        said = await shown.words()
        assert "invalid_argument" in said
        assert "size: 512x512 has 262,144 pixels" in said
        assert "Correct the arguments and call again; nothing was sent to the API" in said
        assert "Who can\nThe assistant\nBilled\nNo" in said
        assert await shown.sources() == []


async def test_a_cancelled_call_says_so(stage: Stage, emulator: Emulator) -> None:
    async with scenes.making(stage, emulator) as shown:
        await shown.tell("sendToolCancelled", {"reason": "user action"})
        await shown.view.wait_for_selector("text=The call was cancelled: user action.")


async def test_while_the_arguments_come_in_pieces_the_frames_stay(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.tell("sendToolInputPartial", {"arguments": {}})
        await shown.view.wait_for_selector("text=Waiting")
        await shown.tell("sendToolInputPartial", {"arguments": {"prompt": "a li", "size": "2560x1440"}})
        frame = await shown.view.wait_for_selector(".frame.pending")
        assert frame is not None
        await shown.tell("sendToolInputPartial", {"arguments": {"prompt": "a light", "size": "2560x1440"}})
        await shown.view.wait_for_selector(".prompt:text-is('a light')")
        assert await frame.evaluate("one => one.isConnected && one.clientWidth / one.clientHeight") > 1.7
        await shown.tell("sendToolInput", {"arguments": {"prompt": "a light", "size": "1440x2560"}})
        await shown.view.wait_for_function("one => !one.isConnected", arg=frame)


async def test_a_failure_that_may_be_billed_is_not_called_one_without_a_picture(
    stage: Stage, emulator: Emulator
) -> None:
    emulator.app.faults.add(fault(status=500, times=1))
    async with serving(emulator) as client, stage.host(client) as shown:
        await shown.call("generate_image", prompt="a lighthouse")
        await shown.view.wait_for_selector("h1:text-is('It is not known what became of this')")
        assert "No picture was made" not in await shown.words()
        await shown.call("list_images")
        await shown.view.wait_for_selector("text=1 image may have been made and billed")


async def test_an_empty_list_is_friendly(stage: Stage, emulator: Emulator) -> None:
    async with scenes.empty(stage, emulator) as shown:
        assert "Ask for one in the conversation" in await shown.words()
        assert not await shown.view.is_visible("nav")


# Links that expire, hosts that block


async def test_an_expired_picture_says_so_and_offers_nothing(stage: Stage, emulator: Emulator) -> None:
    async with scenes.expired(stage, emulator) as shown:
        assert await shown.sources() == []
        for name in ("Open", "Copy link", "Edit this one"):
            assert not await shown.view.is_visible(f"text={name}")
        assert await shown.seen("reads") == []


async def test_an_expired_picture_that_was_saved_is_still_shown(
    stage: Stage, emulator: Emulator, tmp_path: Path
) -> None:
    async with scenes.expired(stage, emulator, saved_in=tmp_path) as shown:
        (saved,) = tmp_path.rglob("*.jpg")
        assert f"The link has expired. Saved as {saved}." in await shown.words()
        (source,) = await shown.sources()
        assert source.startswith("data:image/jpeg;base64,")
        assert not await shown.view.is_visible("text=Copy link")
        assert await shown.view.is_visible("text=Edit this one")

        saved.unlink()
        emulator.app.store._records.clear()
        async with stage.host(shown.client) as later:
            await later.call("list_images")
            await later.view.click("button.card")
            await later.view.wait_for_selector("text=The saved picture can't be shown here.")


async def test_a_link_that_leads_nowhere_says_so(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.client.call_tool("generate_image", {"prompt": "a lighthouse", "size": SMALL})
        emulator.app.store._records.clear()
        await shown.tell("sendToolResult", result.model_dump(mode="json", by_alias=True, exclude_none=True))
        host = emulator.url.removeprefix("http://")
        await shown.view.wait_for_selector(f"text=The picture did not load from {host}.")
        assert await shown.view.is_visible("text=Copy link")


async def test_the_time_that_is_left_is_counted_down_to_the_end(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client:
        await generate(client, "a paper boat")
        async with stage.host(client, clock=True) as shown:
            await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
            facts = shown.view.locator(".facts")
            await expect(facts).to_contain_text("expires in 23 h 59 min")
            for forward, left in (("23:00:30", "expires in 59 min"), ("58:00", "expires in 1 min")):
                await shown.page.clock.fast_forward(forward)
                await expect(facts).to_contain_text(left)
            await shown.page.clock.fast_forward("01:00")
            await expect(facts).to_contain_text("expires in less than a minute")
            await shown.page.clock.fast_forward("03:00")
            await expect(facts).to_contain_text("expired")
            await expect(shown.view.locator("text=Copy link")).to_be_hidden()
            await shown.view.wait_for_selector("text=The link has expired, and")
            assert len(await shown.sources()) == 1  # what was seen stays


async def test_a_blocked_image_host_is_gone_around_by_small_pictures(
    stage: Stage, emulator: Emulator
) -> None:
    async with scenes.blocked(stage, emulator) as shown:
        assert {source[:22] for source in await shown.sources()} == {"data:image/jpeg;base64"}
        reads = [uri.rpartition("/")[2] for uri in await shown.seen("reads")]
        assert sorted(reads) == ["1"] + ["thumbnail"] * 4
        assert await shown.page.evaluate("seen.mostReads") <= 2


async def test_previews_of_the_result_are_used_before_anything_is_asked(
    stage: Stage, emulator: Emulator
) -> None:
    async with serving(emulator) as client:
        prefetched = await fetch(client)
        async with stage.host(client, prefetched=prefetched) as shown:
            await shown.call("generate_image", **BATCH | {"max_images": 3, "preview": True})
            await shown.all_seen()
            assert len(await shown.sources("[role=tab] img")) == 3
            assert not [uri for uri in await shown.seen("reads") if "thumbnail" in uri]


async def test_where_no_way_leads_to_the_picture_the_view_says_why(stage: Stage, emulator: Emulator) -> None:
    async with scenes.blind(stage, emulator) as shown:
        host = emulator.url.removeprefix("http://")
        assert f"This host does not show pictures from {host}." in await shown.words()
        await shown.view.click("text=Open link")
        await shown.view.wait_for_selector("text=Opened.")
        (opened,) = await shown.seen("opened")
        assert opened["url"].startswith(emulator.url)
        assert await shown.sources() == []
