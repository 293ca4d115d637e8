"""The view in a real Chromium, embedded by the official bridge's host, over a real server and the emulator."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from playwright.async_api import expect

from mcp_server.emulator import Emulator
from tests.conftest import APPS, running
from tests.view import scenes
from tests.view.host import EVERYTHING, Host, Stage, fetch, missing
from tests.view.scenes import BATCH, SCENES, SMALL, generate, serving

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("chromium")]

GENERATED = {"type": "text", "text": "Made 1 image with seedream-4.0, size 2K."}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One browser for all."""
    if reason := missing():
        pytest.skip(reason)
    async with Stage(tmp_path_factory.mktemp("stage")).set() as stage:
        yield stage


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVERYTHING.items() if name not in names}


async def words(shown: Host) -> str:
    return await shown.view.inner_text("main")


async def facts(shown: Host) -> list[str]:
    return await shown.view.locator(".facts span").all_inner_texts()


async def sources(shown: Host, selector: str = "img") -> list[str]:
    found: list[str] = await shown.view.eval_on_selector_all(selector, "all => all.map(one => one.src)")
    return found


# What is shown


async def test_a_result_is_shown_large_with_what_was_asked_for(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a lighthouse", size=SMALL)
        await shown.view.wait_for_selector("h1:text-is('1 picture')")
        await shown.all_seen()
        link = result["structuredContent"]["images"][0]["url"]
        assert await sources(shown) == [link]
        assert await shown.view.get_attribute("img", "alt") == "Picture: a lighthouse"
        assert await facts(shown) == ["1024 × 1024", "seedream-4.0", "expires in 23 h 59 min"]
        assert "emulat" not in await words(shown)
        assert await shown.seen("reads") == []


async def test_a_batch_of_15_is_shown_with_one_large_and_all_small(stage: Stage, emulator: Emulator) -> None:
    async with scenes.batch(stage, emulator) as shown:
        links = await sources(shown, "[role=tab] img")
        assert len(set(links)) == 15
        assert await sources(shown, ".shown img") == links[:1]
        await shown.view.click("[role=tab] >> nth=11")
        assert await sources(shown, ".shown img") == [links[11]]
        assert await shown.view.get_attribute("[role=tab] >> nth=11", "aria-selected") == "true"
        assert (await shown.view.get_attribute(".shown img", "alt") or "").startswith("Picture 12 of 15: 15")


async def test_where_the_model_picks_the_size_the_picture_tells_it(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        await shown.call("generate_image", prompt="a lighthouse, 16:9", size="1K")
        await shown.all_seen()
        await expect(shown.view.locator(".facts")).to_contain_text("1376 × 768")


async def test_an_edit_says_from_how_many_references(stage: Stage, emulator: Emulator) -> None:
    async with scenes.edit(stage, emulator) as shown:
        assert (await facts(shown))[:3] == ["768 × 1366", "seedream-4.0", "from 1 reference"]


async def test_emulated_and_recovered_and_warnings_are_said(stage: Stage, emulator: Emulator) -> None:
    async with scenes.after_some(stage, emulator) as shown:
        result = await shown.call("generate_image", prompt="a " * 700, size=SMALL)
        await expect(shown.view.locator("ul.warnings")).to_contain_text("600")
        result["structuredContent"] |= {"emulated": True, "recovered": True}
        await shown.tell("sendToolResult", result)
        await shown.view.wait_for_selector(".badge:text-is('emulated') + .badge:text-is('recovered')")
        assert "nothing was billed" in await words(shown)
        assert await shown.view.inner_text(".prompt") == "a " * 139 + "a…"
        await shown.view.click("text=Show all")
        assert (await shown.view.inner_text(".prompt")).split() == ["a"] * 700


async def test_an_error_says_what_to_do_and_whether_it_was_billed(stage: Stage, emulator: Emulator) -> None:
    async with scenes.error(stage, emulator) as shown:
        said = await words(shown)
        assert "invalid_argument" in said
        assert "size: 512x512 has 262,144 pixels" in said
        assert "Correct the arguments and call again; nothing was sent to the API" in said
        assert "Who can\nThe assistant\nBilled\nNo" in said
        assert await sources(shown) == []


async def test_a_cancelled_call_says_so(stage: Stage, emulator: Emulator) -> None:
    async with scenes.making(stage, emulator) as shown:
        await shown.tell("sendToolCancelled", {"reason": "user action"})
        await shown.view.wait_for_selector("text=The call was cancelled: user action.")


async def test_an_empty_list_is_friendly(stage: Stage, emulator: Emulator) -> None:
    async with scenes.empty(stage, emulator) as shown:
        assert "Ask for one in the conversation" in await words(shown)
        assert not await shown.view.is_visible("nav")


# The gallery


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
        assert len(await sources(shown, "button.card img")) == 2
        await shown.view.click("button.card >> nth=1")
        await shown.view.wait_for_selector("h2:text-is('1 picture')")
        await shown.view.click("[aria-expanded=true]:has-text('Recent')")
        assert not await shown.view.is_visible(".gallery")


async def test_a_list_that_cant_be_had_says_so(stage: Stage, emulator: Emulator) -> None:
    async with scenes.result(stage, emulator) as shown:
        await shown.page.evaluate("() => { bridge.oncalltool = () => { throw new Error('not now'); }; }")
        await shown.view.click("text=Recent pictures")
        await shown.view.wait_for_selector("text=The list could not be had: not now")


# Links that expire, hosts that block


async def test_an_expired_picture_says_so_and_offers_nothing(stage: Stage, emulator: Emulator) -> None:
    async with scenes.expired(stage, emulator) as shown:
        assert await sources(shown) == []
        for name in ("Open", "Copy link", "Edit this one"):
            assert not await shown.view.is_visible(f"text={name}")
        assert await shown.seen("reads") == []


async def test_an_expired_picture_that_was_saved_is_still_shown(
    stage: Stage, emulator: Emulator, tmp_path: Path
) -> None:
    async with scenes.expired(stage, emulator, saved_in=tmp_path) as shown:
        (saved,) = tmp_path.rglob("*.jpg")
        assert f"The link has expired. Saved as {saved}." in await words(shown)
        (source,) = await sources(shown)
        assert source.startswith("data:image/jpeg;base64,")
        assert not await shown.view.is_visible("text=Copy link")
        assert await shown.view.is_visible("text=Edit this one")


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
            await shown.page.clock.fast_forward("03:00")
            await expect(facts).to_contain_text("expired")
            await expect(shown.view.locator("text=Copy link")).to_be_hidden()
            await shown.view.wait_for_selector("text=The link has expired, and")
            assert len(await sources(shown)) == 1  # what was seen stays


async def test_a_blocked_image_host_is_gone_around_by_small_pictures(
    stage: Stage, emulator: Emulator
) -> None:
    async with scenes.blocked(stage, emulator) as shown:
        assert {source[:22] for source in await sources(shown)} == {"data:image/jpeg;base64"}
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
            assert len(await sources(shown, "[role=tab] img")) == 3
            assert not [uri for uri in await shown.seen("reads") if "thumbnail" in uri]


async def test_where_no_way_leads_to_the_picture_the_view_says_why(stage: Stage, emulator: Emulator) -> None:
    async with scenes.blind(stage, emulator) as shown:
        host = emulator.url.removeprefix("http://")
        assert f"This host does not show pictures from {host}." in await words(shown)
        await shown.view.click("text=Open link")
        await shown.view.wait_for_selector("text=Opened.")
        (opened,) = await shown.seen("opened")
        assert opened["url"].startswith(emulator.url)
        assert await sources(shown) == []


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
            "() => { navigator.clipboard.writeText = () => Promise.reject(); document.execCommand = () => false; }"
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
        assert await shown.seen("messages") == [{"role": "user", "content": [{"type": "text", "text": words}]}]
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
        await edit(shown)
        await shown.view.wait_for_selector("text=ready to paste")
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


async def test_the_view_answers_what_a_host_may_ask_and_nothing_else(stage: Stage, emulator: Emulator) -> None:
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
        assert "cancelled" not in await words(shown)


async def test_the_frame_is_as_tall_as_the_view_and_comes_to_rest(stage: Stage, emulator: Emulator) -> None:
    async with scenes.recent(stage, emulator) as shown:
        await shown.settled()
        sizes = await shown.seen("sizes")
        assert len(sizes) <= 8
        assert all(one != other for one, other in zip(sizes, sizes[1:], strict=False))


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
            assert await sources(shown, "[role=tab] img") == links
            assert "1280 × 832" in await words(shown)
            if kept != "resource_link":
                assert "seedream-4.0" in await words(shown)
                assert "expires in 23 h" in await words(shown)


async def test_a_list_is_read_from_its_text_where_there_is_no_more(stage: Stage, emulator: Emulator) -> None:
    async with serving(emulator) as client:
        made = await generate(client, "a lighthouse: tall")
        for _ in range(2):
            await generate(client, "another")
        whole = await client.call_tool("list_images", {"limit": 3})
        text = whole.content[0].model_dump(mode="json", by_alias=True, exclude_none=True)
        context = {"toolInfo": {"tool": {"name": "list_images", "inputSchema": {"type": "object"}}}}
        async with stage.host(client, context=context) as shown:
            await shown.tell("sendToolResult", {"content": [text]})
            await expect(shown.view.locator("button.card")).to_have_count(3)
            await shown.view.click("text=a lighthouse: tall")
            await shown.all_seen()
            assert await sources(shown) == [made["images"][0]["url"]]


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
        assert (await words(shown)).count(HOSTILE) == 6
        assert await shown.view.locator("img, main script, main a").count() == 0
        listing = {"content": [], "structuredContent": {"generations": [structured, None, {"images": 1}]}}
        await shown.tell("sendToolResult", listing)
        await expect(shown.view.locator("button.card")).to_have_count(2)
        failure = {"content": [{"type": "text", "text": HOSTILE}], "isError": True}
        await shown.tell("sendToolResult", failure)
        await shown.view.wait_for_selector("h1:text-is('No picture was made')")
        assert HOSTILE in await words(shown)
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
            assert await shown.view.evaluate("() => new Promise(requestAnimationFrame).then(() => shifts)") == 0


@pytest.mark.parametrize("name", SCENES)
async def test_axe_finds_nothing_wrong_in_either_theme(name: str, stage: Stage, emulator: Emulator) -> None:
    async with SCENES[name](stage, emulator) as shown:
        for theme in ("light", "dark"):
            await shown.change(theme=theme)
            await expect(shown.view.locator("html")).to_have_css("color-scheme", theme)
            assert await shown.violations() == []
