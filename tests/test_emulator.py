"""The emulator over real HTTP: every rule, batches, links, pictures, faults, its page."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image, ImageChops, ImageFont, ImageStat

from mcp_server.emulator import Emulator, draw
from mcp_server.emulator.checks import Wanted, number_in, read_size
from mcp_server.emulator.contract import MODELS, Model
from mcp_server.emulator.draw import draw_jpeg
from tests.conftest import data_uri, fault, image_bytes, running
from tests.test_references import png_header

pytestmark = pytest.mark.anyio

PATH = "/v3/seedream-4.0"
KEY = {"Authorization": "Bearer some-key"}
BALANCE = "/openapi/v1/billing/balance/detail"


@pytest.fixture
async def http(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=emulator.url, timeout=30) as client:
        yield client


async def generate(http: httpx.AsyncClient, **fields: Any) -> list[str]:
    reply = await http.post(PATH, json={"prompt": "a fox"} | fields, headers=KEY)
    assert reply.status_code == 200, reply.text
    assert set(reply.json()) == {"images"}
    links: list[str] = reply.json()["images"]
    return links


async def picture(http: httpx.AsyncClient, link: str) -> Image.Image:
    reply = await http.get(link)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "image/jpeg"
    image = Image.open(io.BytesIO(reply.content))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize("size", ["2048x2048", "3024x1296", "1440x2560", "4096x256", "1024x1024"])
async def test_it_draws_a_jpeg_of_the_size_asked_for(http: httpx.AsyncClient, size: str) -> None:
    (link,) = await generate(http, size=size)
    width, height = (await picture(http, link)).size
    assert f"{width}x{height}" == size


async def test_the_default_size_is_the_documented_one(http: httpx.AsyncClient) -> None:
    (link,) = await generate(http)
    assert (await picture(http, link)).size == (2048, 2048)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.path)
@pytest.mark.parametrize(
    ("prompt", "ratio"), [("x", 1), ("in 16:9", 16 / 9), ("in 3:4", 3 / 4), ("1:9", 1 / 3)]
)
def test_a_preset_picks_its_ratio_from_the_prompt(model: Model, prompt: str, ratio: float) -> None:
    for preset, side in model.preset_sides.items():
        width, height = read_size(model, preset, prompt)
        assert width / height == pytest.approx(ratio, rel=0.03)
        assert width * height == pytest.approx(side * side, rel=0.05)
        assert model.total_pixels[0] <= width * height <= model.total_pixels[1]
        assert preset == f"{side // 1024}K"


@pytest.mark.parametrize(
    ("prompt", "number"),
    [
        ("a fox", 1),
        ("3 images of a fox", 3),
        ("Fifteen foxes", 15),
        ("a fox at 16:9, four pictures", 4),
        ("20 foxes", 20),
        ("1,000 cats and 2 dogs", 2),
        ("a fox in 4:3", 1),
        ("0 foxes", 1),
        ("a 1970s poster", 1),
        ("version 2.5", 1),
    ],
)
def test_a_number_named_in_the_prompt_is_the_number_of_pictures(prompt: str, number: int) -> None:
    assert number_in(prompt) == number


async def test_a_batch_honours_the_prompt_up_to_the_cap_and_the_room_beside_references(
    http: httpx.AsyncClient,
) -> None:
    auto = {"sequential_image_generation": "auto"}
    assert len(await generate(http, prompt="5 foxes", **auto)) == 5
    assert len(await generate(http, prompt="5 foxes", max_images=2, **auto)) == 2
    assert len(await generate(http, prompt="5 foxes", max_images=5)) == 1
    references = [data_uri(image_bytes(20, 20))] * 10
    assert len(await generate(http, prompt="15 foxes", images=references, **auto)) == 5


PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": " "}, "INVALID_REQUEST_BODY"),
    ({"prompt": 3}, "INVALID_REQUEST_BODY"),
    ({"nonsense": 1}, "INVALID_REQUEST_BODY"),
    ({"watermark": "true"}, "INVALID_REQUEST_BODY"),
    ({"max_images": True}, "INVALID_REQUEST_BODY"),
    ({"max_images": 0}, "INVALID_REQUEST_BODY"),
    ({"max_images": 16}, "INVALID_REQUEST_BODY"),
    ({"sequential_image_generation": "on"}, "INVALID_REQUEST_BODY"),
    ({"images": "https://example.com/a.png"}, "INVALID_REQUEST_BODY"),
    ({"images": [1]}, "INVALID_REQUEST_BODY"),
    ({"images": [data_uri(image_bytes(20, 20))] * 11}, "INVALID_REQUEST_BODY"),
    ({"images": ["http://127.0.0.1:9/a.png"]}, "INVALID_REQUEST_BODY"),
    ({"images": ["ftp://example.com/a.png"]}, "INVALID_IMAGE_FORMAT"),
    ({"images": ["data:image/jpg;base64,AAAA"]}, "INVALID_IMAGE_FORMAT"),
    ({"images": ["data:image/png;base64,!"]}, "INVALID_IMAGE_FORMAT"),
    ({"images": [data_uri(b"no image")]}, "INVALID_IMAGE_FORMAT"),
    ({"images": [data_uri(image_bytes(20, 20, "GIF"))]}, "INVALID_IMAGE_FORMAT"),
    ({"images": [data_uri(image_bytes(14, 20))]}, "INVALID_IMAGE_SIZE"),
    ({"images": [data_uri(image_bytes(20, 61))]}, "INVALID_IMAGE_SIZE"),
    ({"images": [data_uri(image_bytes(6001, 6000))]}, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    ({"images": [data_uri(png_header(30_000, 15_000), "image/png")]}, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    ({"images": [data_uri(image_bytes(20, 20, padding=11 * 1024**2))]}, "IMAGE_FILE_EXCEEDS_MAX_SIZE"),
    ({"size": "3K"}, "INVALID_IMAGE_SIZE"),
    ({"size": "2048X2048"}, "INVALID_IMAGE_SIZE"),
    ({"size": "1024x1023"}, "INVALID_IMAGE_SIZE"),
    ({"size": "4097x4096"}, "INVALID_IMAGE_SIZE"),
    ({"size": "8192x500"}, "INVALID_IMAGE_SIZE"),
]


@pytest.mark.parametrize(("fields", "reason"), PROBLEMS, ids=range(len(PROBLEMS)))
async def test_every_rule_is_kept(http: httpx.AsyncClient, fields: dict[str, Any], reason: str) -> None:
    reply = await http.post(PATH, json={"prompt": "x"} | fields, headers=KEY)
    assert reply.status_code == 400
    assert reply.json()["reason"] == reason
    assert set(reply.json()) == {"code", "reason", "message", "metadata"}
    assert (await http.get("/_emulator/requests")).json()["billed_images"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    assert (await http.post(PATH, content=body, headers=KEY)).json()["reason"] == "INVALID_REQUEST_BODY"


@pytest.mark.parametrize("path", [PATH, BALANCE])
async def test_authentication(http: httpx.AsyncClient, path: str) -> None:
    method = "POST" if path == PATH else "GET"
    for header, reason in [
        ({}, "MISSING_API_KEY"),
        ({"Authorization": "Basic eDp5"}, "MISSING_API_KEY"),
        ({"Authorization": "Bearer"}, "MISSING_API_KEY"),
        ({"Authorization": "Bearer invalid-key"}, "INVALID_API_KEY"),
    ]:
        reply = await http.request(method, path, json={"prompt": "x"}, headers=header)
        assert (reply.status_code, reply.json()["reason"]) == (401, reason)


async def test_with_a_key_of_its_own_it_takes_no_other() -> None:
    own = Emulator(api_key="right")
    async with anyio.create_task_group() as tasks:
        await tasks.start(own.serve)
        async with httpx.AsyncClient(base_url=own.url) as http:
            wrong = await http.get(BALANCE, headers={"Authorization": "Bearer wrong"})
            right = await http.get(BALANCE, headers={"Authorization": "Bearer right"})
        tasks.cancel_scope.cancel()
    assert (wrong.status_code, right.status_code) == (401, 200)
    assert all(isinstance(value, str) for value in right.json().values())


async def test_another_path_is_no_api(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v3/other", json={}, headers=KEY)
    assert (reply.status_code, reply.json()["reason"]) == (404, "API_NOT_FOUND")


async def test_a_link_works_only_byte_for_byte_until_it_expires_and_without_a_key(
    http: httpx.AsyncClient,
) -> None:
    (link,) = await generate(http)
    assert "%" in link
    await picture(http, link)
    assert (await http.get(link, headers=KEY)).status_code == 400
    for changed in (
        link.replace("%3D", "="),
        link + "&",
        link.replace("/1.jpg", "/2.jpg"),
        link.split("?")[0],
    ):
        assert (await http.get(changed)).status_code == 403
    assert (await http.get(link.replace("X-Expires=", "X-Expires=9"))).status_code == 403


async def test_a_link_expires_after_the_time_that_was_set() -> None:
    own = Emulator(link_seconds=0)
    async with anyio.create_task_group() as tasks:
        await tasks.start(own.serve)
        async with httpx.AsyncClient(base_url=own.url) as http:
            (link,) = await generate(http)
            reply = await http.get(link)
            edit = await http.post(PATH, json={"prompt": "x", "images": [link]}, headers=KEY)
        tasks.cancel_scope.cancel()
    assert (reply.status_code, "expired" in reply.text) == (403, True)
    assert (edit.status_code, "expired" in edit.text) == (400, True)


async def test_references_by_its_own_link_by_url_and_by_data_uri_show_in_the_picture(
    http: httpx.AsyncClient,
) -> None:
    own = (await generate(http))[0]
    foreign = Emulator()
    async with anyio.create_task_group() as tasks:
        await tasks.start(foreign.serve)
        async with httpx.AsyncClient(base_url=foreign.url) as other:
            url = (await generate(other))[0]
        (link,) = await generate(http, images=[own, url, data_uri(image_bytes(300, 200))])
        tasks.cancel_scope.cancel()
    await picture(http, link)
    recent = (await http.get("/_emulator/requests")).json()["recent"][0]
    assert recent["references"] == 3


async def test_a_signed_link_beyond_the_pictures_made_leads_nowhere(
    http: httpx.AsyncClient, emulator: Emulator
) -> None:
    await generate(http)
    (record,) = emulator.app.store.recent(1)
    assert (await http.get(emulator.app.store.link(emulator.url, record, 2))).status_code == 404


async def test_a_reference_of_more_than_ten_megabytes_is_not_downloaded_to_its_end(
    http: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        with suppress(OSError):
            while True:
                writer.write(b"\0" * 2**16)
                await writer.drain()
                sent += 2**16
        writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.png"
    reply = await http.post(PATH, json={"prompt": "x", "images": [url]}, headers=KEY)
    server.close()
    assert reply.json()["reason"] == "IMAGE_FILE_EXCEEDS_MAX_SIZE"
    assert sent < 40 * 2**20


async def test_a_link_to_no_picture_is_no_reference(http: httpx.AsyncClient, emulator: Emulator) -> None:
    reply = await http.post(
        PATH, json={"prompt": "x", "images": [f"{emulator.url}/pictures/x/y.jpg?z"]}, headers=KEY
    )
    assert reply.json()["reason"] == "INVALID_REQUEST_BODY"


def drawn(
    prompt: str = "x", *, watermark: bool = False, thumbnails: tuple[Image.Image, ...] = ()
) -> Image.Image:
    wanted = Wanted(prompt, (), 512, 512, 1, watermark)
    return Image.open(io.BytesIO(draw_jpeg(wanted, 1, thumbnails))).convert("RGB")


def changed(one: Image.Image, two: Image.Image, box: tuple[int, int, int, int]) -> float:
    """How much two pictures differ inside `box`, on average, from 0 to 255."""
    difference = ImageChops.difference(one.crop(box), two.crop(box)).convert("L")
    return float(ImageStat.Stat(difference).mean[0])


def test_the_watermark_stands_in_the_bottom_right_corner_and_nowhere_else() -> None:
    plain, marked = drawn(), drawn(watermark=True)
    assert changed(plain, marked, (400, 470, 512, 512)) > 5
    assert changed(plain, marked, (0, 0, 380, 512)) < 0.5


def test_references_stand_at_the_bottom_left() -> None:
    plain, pasted = drawn(), drawn(thumbnails=(Image.new("RGB", (80, 60), "red"),))
    assert changed(plain, pasted, (10, 400, 110, 505)) > 20
    assert changed(plain, pasted, (256, 0, 512, 512)) < 0.5


def test_the_same_prompt_draws_the_same_picture_and_another_a_different_one() -> None:
    whole = (0, 0, 512, 512)
    assert changed(drawn("a"), drawn("a"), whole) == 0
    assert changed(drawn("a"), drawn("b"), whole) > 5


@pytest.mark.parametrize("prompt", ["word " * 10_000, "x" * 5_000, "狐狸 🦊 \u202e", "\x00\n\t"])
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert drawn(prompt).size == (512, 512)


async def test_a_fault_gives_a_status_a_reason_and_a_retry_after_n_times(http: httpx.AsyncClient) -> None:
    answer = {"status": 429, "reason": "RATE_LIMIT_EXCEEDED", "retry_after": "7", "times": 2}
    assert (await http.post("/_emulator/faults", json=answer)).status_code == 200
    replies = [await http.post(PATH, json={"prompt": "x"}, headers=KEY) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 429, 200]
    assert replies[0].json()["reason"] == "RATE_LIMIT_EXCEEDED"
    assert replies[0].headers["retry-after"] == "7"


async def test_a_share_of_calls_fails_until_faults_are_cleared(http: httpx.AsyncClient) -> None:
    await http.post("/_emulator/faults", json={"status": 500, "share": 0.5})
    codes = [(await http.post(PATH, json={"prompt": "x"}, headers=KEY)).status_code for _ in range(40)]
    assert 5 < codes.count(500) < 35
    assert len((await http.get("/_emulator/faults")).json()) == 1
    assert (await http.delete("/_emulator/faults")).json() == []
    assert (await http.post(PATH, json={"prompt": "x"}, headers=KEY)).status_code == 200


async def test_garbage_and_other_bodies_are_given_as_told(
    http: httpx.AsyncClient, emulator: Emulator
) -> None:
    emulator.app.faults.add(fault(body="<html>", status=502))
    emulator.app.faults.add(fault(body="no json"))
    first, second = [await http.post(PATH, json={"prompt": "x"}, headers=KEY) for _ in range(2)]
    assert (first.status_code, first.text) == (502, "<html>")
    assert (second.status_code, second.text) == (200, "no json")


@pytest.mark.parametrize("drop", ["before_body", "after_body", "mid_reply"])
async def test_connections_are_dropped_as_told(
    http: httpx.AsyncClient, emulator: Emulator, drop: str
) -> None:
    emulator.app.faults.add(fault(drop=drop))
    with pytest.raises(httpx.TransportError):
        await http.post(PATH, json={"prompt": "x"}, headers=KEY)
    assert len(await generate(http)) == 1


async def test_a_fault_may_strike_after_the_pictures_were_billed(
    http: httpx.AsyncClient, emulator: Emulator
) -> None:
    emulator.app.faults.add(fault(status=500, billed=True))
    emulator.app.faults.add(fault(delay=0.01))
    assert (await http.post(PATH, json={"prompt": "x"}, headers=KEY)).status_code == 500
    assert len(await generate(http)) == 1
    told = (await http.get("/_emulator/requests")).json()
    assert (told["requests"], told["billed_requests"], told["billed_images"]) == (2, 2, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": 7},
        {"drop": "x"},
        {"status": 100},
        {"status": 429, "retry_after": "1\n2"},
        {"status": 500, "share": 2},
        {"x": 1},
    ],
)
async def test_a_wrong_fault_is_refused(http: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    reply = await http.post("/_emulator/faults", json=wrong)
    assert reply.status_code == 422
    assert reply.json()["problems"]


async def test_the_page_shows_recent_requests_with_thumbnails_and_escapes_them(
    http: httpx.AsyncClient, emulator: Emulator
) -> None:
    assert "No request yet" in (await http.get("/")).text
    await generate(http, prompt="<script>2 foxes", sequential_image_generation="auto", watermark=True)
    emulator.app.faults.add(fault(status=500, reason="<b>"))
    await http.post(PATH, json={"prompt": "x"}, headers=KEY)
    await http.post(PATH, content=b"", headers=KEY)
    page = (await http.get("/")).text
    assert "<script>" not in page
    assert "&lt;script&gt;2 foxes" in page
    assert page.count("<img") == 2
    assert "500 &lt;b&gt;" in page
    source = page.split('<img loading="lazy" src="')[1].split('"')[0]
    thumbnail = Image.open(io.BytesIO((await http.get(source)).content))
    assert max(thumbnail.size) == 512
    whole = Image.open(io.BytesIO((await http.get(f"{source}?scale=1")).content))
    assert whole.size == (2048, 2048)
    assert (await http.get(source.replace("/1.jpg", "/9.jpg"))).status_code == 404
    assert (await http.get("/thumbnails/none/1.jpg")).status_code == 404


async def test_it_forgets_the_oldest_requests(emulator: Emulator) -> None:
    first = emulator.app.store.new_record(PATH)
    link = emulator.app.store.link(emulator.url, first, 1)
    for _ in range(2_000):
        emulator.app.store.new_record(PATH)
    async with httpx.AsyncClient() as http:
        assert (await http.get(link)).status_code == 404


async def test_it_runs_as_a_program_with_faults_from_the_command_line() -> None:
    wrong = json.dumps({"status": 503, "reason": "SERVICE_NOT_AVAILABLE"})
    with running("emulator", "--port", "0", "--fault", wrong, wait_for="Seedream emulator on") as (url, _):
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.post(PATH, json={"prompt": "x"}, headers=KEY)).status_code == 503
            assert len(await generate(http)) == 1


async def test_it_remembers_no_image_data(http: httpx.AsyncClient, emulator: Emulator) -> None:
    await generate(http, images=[data_uri(image_bytes(20, 20))])
    (record,) = emulator.app.store.recent(1)
    assert record.wanted is not None
    assert (record.wanted.references, len(record.thumbnails)) == ((), 1)


async def test_no_request_breaks_its_page(http: httpx.AsyncClient) -> None:
    half = await http.post(PATH, content=b'{"prompt": "a\\ud83d"}', headers=KEY)
    assert half.json()["reason"] == "INVALID_REQUEST_BODY"
    for url in (
        "http://127.0.0.1:99999/x",
        "http://xn--a.com/",
        f"{http.base_url}/pictures/a/{'9' * 5_000}.jpg",
    ):
        reply = await http.post(PATH, json={"prompt": "x", "images": [url]}, headers=KEY)
        assert reply.status_code == 400
    assert (await http.get(f"/pictures/a/{'9' * 5_000}.jpg?X-Expires=1")).status_code == 404
    assert (await http.get(PATH)).json()["reason"] == "API_NOT_FOUND"
    assert (await http.get("/")).status_code == (await http.get("/_emulator/requests")).status_code == 200


async def test_no_web_page_can_steer_it(http: httpx.AsyncClient) -> None:
    foreign = {"Origin": "https://evil.example"}
    reply = await http.post("/_emulator/faults", json={"status": 500}, headers=foreign)
    assert reply.status_code == 403
    assert (await http.get("/", headers={"Host": "evil.example"})).status_code == 400


def test_without_a_font_of_the_machine_accents_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (0, 0, 512, 512)
    monkeypatch.setattr(draw, "_FONTS", ("no-such-font.ttf",))
    draw._font.cache_clear()
    plain = ImageFont.load_default(20)
    assert draw._drawable("naïve — 狐…", plain) == "naive - ?..."
    assert changed(drawn("x"), drawn("y"), whole) > 5
    draw._font.cache_clear()


@pytest.mark.parametrize(("width", "height"), [(4096, 256), (256, 4096)])
def test_the_prompt_fits_into_the_longest_pictures(width: int, height: int) -> None:
    wanted = Wanted("a long prompt " * 90, (), width, height, 1, watermark=True)
    picture = Image.open(io.BytesIO(draw_jpeg(wanted, 1, (Image.new("RGB", (90, 60)),) * 10)))
    assert picture.size == (width, height)
    small = Image.open(io.BytesIO(draw_jpeg(wanted, 1, (), 0.125)))
    assert small.size == (width // 8, height // 8)


async def test_too_large_a_body_is_refused(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(170):
            yield b" " * 1024**2

    reply = await http.post(PATH, content=endless(), headers=KEY)
    assert reply.status_code == 413


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_noted(emulator: Emulator) -> None:
    async with await anyio.connect_tcp("127.0.0.1", int(emulator.url.rpartition(":")[2])) as stream:
        head = "POST /v3/seedream-4.0 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
        await stream.send(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        while not emulator.app.store.requests:
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(10):
        while not (record := emulator.app.store.recent(1)[0]).status:
            await anyio.lowlevel.checkpoint()
    assert (record.status, record.billed_images) == (499, 0)
