"""The pictures made: saved, previewed, read as resources, listed; and never at the cost of the links."""

import base64
import errno
import io
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import jsonschema
import pytest
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, ImageContent
from PIL import Image

from mcp_server.emulator import Emulator
from mcp_server.errors import NotConfigured
from mcp_server.generations import Generation
from mcp_server.pictures import Plan, collect
from mcp_server.pictures.download import LARGEST_PICTURE
from mcp_server.pictures.read import MOST_BYTES as MOST_BLOB_BYTES
from mcp_server.pictures.read import read_picture
from mcp_server.pictures.save import Origin, check_folder, file_name, save
from mcp_server.pictures.thumbnail import MOST_BYTES, MOST_BYTES_IN_ALL, PictureError, read_header, smaller
from mcp_server.results import LONGEST_LIST, listing
from mcp_server.schemas import list_output_schema, output_schema
from tests.conftest import a_generation, answering, connect, image_bytes, pictures, posix, text_of

pytestmark = pytest.mark.anyio

URL = "https://example.com/a.png"
BATCH = {"prompt": "2 foxes", "sequential_image_generation": "auto", "max_images": 15}


def noise(width: int, height: int, kind: str = "JPEG") -> bytes:
    """A picture that compresses badly."""
    output = io.BytesIO()
    Image.frombytes("RGB", (width, height), os.urandom(width * height * 3)).save(output, kind)
    return output.getvalue()


class Host(httpx.AsyncBaseTransport):
    """The API, and an image host beside it that answers with `replies` by path."""

    def __init__(self, urls: list[str], **replies: httpx.Response) -> None:
        self.urls, self.replies = urls, replies
        self.fetched: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            await request.aread()
            return pictures(*self.urls)
        self.fetched.append(request)
        if request.url.path == "/slow":
            await anyio.sleep_forever()
        if request.url.path == "/broken":
            raise ZeroDivisionError
        reply = self.replies.get(request.url.path.strip("/"))
        if reply is None:
            raise httpx.ConnectError("no such host")
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def ok(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=content)


def made(urls: list[str], prompt: str = "x", created: datetime | None = None) -> Generation:
    requested = {"prompt": prompt, "size": "2K", "watermark": False}
    when = created or datetime.now(UTC)
    return a_generation(
        id="0123456789abcdef",
        prompt=prompt,
        requested=requested,
        urls=tuple(urls),
        created=when,
        status="succeeded",
        pictures={},
    )


def expired(generation: Generation, number: int) -> bool:
    return generation.expires(number) <= datetime.now(UTC)


def origin(prompt: str = "x") -> Origin:
    created = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    return Origin(made(["https://cdn.example.com/a?x=<&>"], prompt, created), 1)


def cdn(*names: str) -> list[str]:
    return [f"https://cdn.example.com/{name}" for name in names]


async def test_every_picture_is_saved_under_a_telling_name_with_its_origin_in_it(
    tmp_path: Path, emulator: Emulator
) -> None:
    folder = tmp_path / "new" / "folder"
    async with connect(NOVITA_BASE_URL=emulator.url, SEEDREAM_SAVE_DIR=str(folder)) as client:
        result = await client.call_tool("generate_image", BATCH)
    structured = result.structured_content
    jsonschema.validate(structured, output_schema())
    assert len(list(folder.iterdir())) == 2
    for image in structured["images"]:
        path = Path(image["saved_path"])
        pattern = rf"\d{{8}}-\d{{6}}-2-foxes-{structured['generation_id']}-{image['index']}\.jpg"
        assert re.fullmatch(pattern, path.name)
        assert str(path) in text_of(result)
        with Image.open(path) as saved:
            saved.load()
            assert saved.size == (image["width"], image["height"]) == (2048, 2048)
            xmp = saved.info["xmp"].decode()
        for said in (
            "2 foxes",
            image["url"].replace("&", "&amp;"),
            "seedream-4.0",
            structured["generation_id"],
        ):
            assert said in xmp


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_origin_goes_into_the_picture_without_touching_it(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "downloaded"
    source.write_bytes(noise(64, 64, kind))
    path = save(source, tmp_path, f"image/{kind.lower()}", origin('a "fox" & <cub>\x00 狐' + "x" * 90_000))
    with Image.open(path) as saved, Image.open(source) as original:
        assert saved.tobytes() == original.tobytes()
        if kind != "WEBP":
            xmp = saved.info.get("xmp") or saved.info["XML:com.adobe.xmp"].encode()
            assert 'a "fox" &amp; &lt;cub&gt;  狐' in xmp.decode()
            assert "2026-03-04T05:06:07" in xmp.decode()
            assert "a?x=&lt;&amp;&gt;" in xmp.decode()
    assert path.suffix == {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}[kind]


def test_a_jpeg_without_a_jfif_segment_keeps_its_order(tmp_path: Path) -> None:
    data = image_bytes(64, 64)
    length = int.from_bytes(data[4:6], "big")
    source = tmp_path / "downloaded"
    source.write_bytes(data[:2] + data[4 + length :])
    with Image.open(save(source, tmp_path, "image/jpeg", origin())) as saved:
        saved.load()
        assert b"seedream-4.0" in saved.info["xmp"]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("A red fox!", "a-red-fox"),
        ('../../etc: "passwd"? <CON> | *', "etc-passwd-con"),
        ("", "image"),
        ("???", "image"),
        ("狐 fox", "狐-fox"),
        ("word " * 50, "word-word-word-word-word-word-word-word"),
    ],
)
def test_names_are_legal_on_every_system(prompt: str, words: str) -> None:
    name = file_name(origin(prompt), "image/png")
    assert name == f"20260304-050607-{words}-0123456789abcdef-1.png"
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', name)
    assert len(name.encode()) < 255


def test_no_file_is_ever_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "downloaded"
    source.write_bytes(image_bytes(64, 64))
    first, second = (save(source, tmp_path, "image/jpeg", origin()) for _ in range(2))

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links on this file system")

    monkeypatch.setattr(os, "link", no_links)  # the system's call, as FAT answers it
    third = save(source, tmp_path, "image/jpeg", origin())
    assert [path.stem for path in (second, third)] == [f"{first.stem}-2", f"{first.stem}-3"]
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    assert not list(tmp_path.glob(".seedream-*"))


def test_a_hundred_files_of_the_same_name_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object) -> None:
        raise FileExistsError

    source = tmp_path / "downloaded"
    source.write_bytes(image_bytes(64, 64))
    monkeypatch.setattr(os, "link", taken)
    with pytest.raises(FileExistsError, match="a hundred like it"):
        save(source, tmp_path, "image/jpeg", origin())


@posix
async def test_a_folder_that_cannot_be_written_is_found_before_anything_is_paid(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    host = Host(cdn("a"))
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/seedream")):
        with pytest.raises(NotConfigured, match="SEEDREAM_SAVE_DIR"):
            check_folder(folder)
        async with connect(transport=host, SEEDREAM_SAVE_DIR=str(folder)) as client:
            text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
        assert text.startswith("[not_configured]")
        assert "Pictures" in text
        assert text.endswith("Billed: no")
    assert host.fetched == []


async def test_a_full_disk_costs_a_warning_and_never_the_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    host = Host(cdn("a"), a=ok(image_bytes(64, 64)))
    async with connect(transport=host, SEEDREAM_SAVE_DIR=str(tmp_path)) as client:
        monkeypatch.setattr(os, "fsync", full)  # the system's call, as a full disk answers it
        result = await client.call_tool("generate_image", {"prompt": "x"})
    assert not result.is_error
    assert host.urls[0] in text_of(result)
    assert "the disk failed (No space left on device)" in result.structured_content["warnings"][0]
    assert list(tmp_path.iterdir()) == []


async def test_a_picture_that_cannot_be_had_is_a_warning_and_the_links_stay(tmp_path: Path) -> None:
    urls = [
        *cdn("good", "gone", "html", "moved", "nowhere", "large", "inwards", "loop", "plain"),
        *("http://cdn.example.com/good", "https://xn--a.com/", *cdn("broken")),
    ]
    redirect = {"moved": cdn("good")[0], "inwards": "https://127.0.0.1/", "loop": cdn("loop")[0]}
    host = Host(
        urls,
        good=ok(image_bytes(64, 64)),
        gone=httpx.Response(403),
        html=ok(b"<html>"),
        large=ok(b"\0" * (LARGEST_PICTURE + 1)),
        plain=httpx.Response(302, headers={"Location": "http://example.com/a"}),
        **{name: httpx.Response(302, headers={"Location": to}) for name, to in redirect.items()},
    )
    async with connect(transport=host, SEEDREAM_SAVE_DIR=str(tmp_path)) as client:
        result = await client.call_tool("generate_image", BATCH | {"preview": True})
    assert not result.is_error
    assert all(url in text_of(result) for url in urls)
    warnings = result.structured_content["warnings"]
    for number, said in [
        *((2, "HTTP 403"), (3, "no picture"), (5, "downloaded"), (6, "larger than 64 MB")),
        *((7, "not public https"), (8, "too often"), (9, "not public https"), (10, "not https")),
        *((11, "downloaded"), (12, "could not be fetched")),
    ]:
        assert any(f"Image {number} was not saved" in warning and said in warning for warning in warnings)
    saved = [image for image in result.structured_content["images"] if "saved_path" in image]
    assert [image["index"] for image in saved] == [1, 4]
    assert [block.type for block in result.content].count("image") == 2
    assert len(list(tmp_path.iterdir())) == 2
    assert all("authorization" not in request.headers for request in host.fetched)


async def test_pictures_that_do_not_come_in_time_are_left_out() -> None:
    host = Host(cdn("good", "slow"), good=ok(image_bytes(64, 64)))
    plan = Plan(None, preview=True, loopback_ok=False)
    found = await collect(made(host.urls), plan, transport=host, seconds=0.5)
    assert list(found.pictures) == [1]
    (warning,) = found.warnings
    assert warning.startswith("Images 2 took too long")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_preview_is_small_and_the_header_names_type_and_sides(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(noise(2048, 1024, kind))
    small = Image.open(io.BytesIO(data := smaller(path, 320, MOST_BYTES)))
    assert (small.format, max(small.size)) == ("JPEG", 320)
    assert len(data) <= MOST_BYTES
    header = read_header(path)
    assert (header.mime_type, header.width, header.height) == (f"image/{kind.lower()}", 2048, 1024)
    assert len(smaller(path, 320, 700)) <= 700


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    path = tmp_path / "a"
    Image.new("RGBA", (600, 400), (0, 0, 0, 0)).save(path, "PNG")
    small = Image.open(io.BytesIO(smaller(path, 320, MOST_BYTES)))
    assert small.size == (320, 213)
    assert small.getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"<html>", image_bytes(64, 64)[:30], image_bytes(64, 64, "GIF")])
def test_what_is_no_picture_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    for read in (read_header, lambda path: smaller(path, 320, 9_999)):
        with pytest.raises(PictureError, match="no picture"):
            read(path)


def test_too_many_pixels_are_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    Image.new("1", (6_000, 6_000)).save(path, "PNG")
    with pytest.raises(PictureError, match="too many pixels"):
        smaller(path, 320, MOST_BYTES)


async def test_the_result_carries_the_previews_behind_the_links_and_names_the_real_type() -> None:
    picture = ok(noise(1024, 768, "PNG"))
    host = Host(cdn("a", "b"), a=picture, b=picture)
    async with connect(transport=host) as client:
        result = await client.call_tool("generate_image", BATCH | {"preview": True})
    assert [block.type for block in result.content] == ["text", *["resource_link"] * 2, *["image"] * 2]
    for image in result.structured_content["images"]:
        assert (image["width"], image["height"], image["mime_type"]) == (1024, 768, "image/png")
    assert result.content[1].mime_type == "image/png"  # type: ignore[union-attr]
    block = result.content[-1]
    assert isinstance(block, ImageContent)
    assert len(base64.b64decode(block.data)) <= MOST_BYTES


async def test_fifteen_previews_stay_within_their_bytes_in_all() -> None:
    names = [f"p{number}" for number in range(15)]
    picture = ok(noise(512, 512))
    host = Host(cdn(*names), **dict.fromkeys(names, picture))
    plan = Plan(None, preview=True, loopback_ok=False)
    found = await collect(made(host.urls), plan, transport=host)
    assert (len(found.previews), found.warnings) == (15, [])
    assert sum(map(len, found.previews.values())) <= MOST_BYTES_IN_ALL


async def test_a_picture_that_is_saved_but_cannot_be_shown_is_saved_all_the_same(tmp_path: Path) -> None:
    output = io.BytesIO()
    Image.new("1", (6_000, 6_000)).save(output, "PNG")
    host = Host(cdn("a"), a=ok(output.getvalue()))
    plan = Plan(tmp_path, preview=True, loopback_ok=False)
    found = await collect(made(host.urls), plan, transport=host)
    assert found.pictures[1].saved_path is not None
    (warning,) = found.warnings
    assert "has no preview" in warning


@asynccontextmanager
async def with_a_picture(host: Host, **variables: str) -> AsyncIterator[tuple[Client, str]]:
    """A client that has made one picture, and the picture's resource."""
    async with connect(transport=host, **variables) as client:
        result = await client.call_tool("generate_image", {"prompt": "x"})
        yield client, result.structured_content["images"][0]["resource"]


async def read(client: Client, uri: str) -> tuple[bytes, str | None]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, BlobResourceContents)
    return base64.b64decode(content.blob), content.mime_type


async def test_a_resource_reads_the_live_link_or_the_saved_file_with_its_type(tmp_path: Path) -> None:
    small = noise(64, 64, "PNG")
    host = Host(cdn("a"), a=ok(small))
    async with with_a_picture(host) as (client, uri):
        templates = (await client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == [
            "seedream://generations/{id}/{n}",
            "seedream://generations/{id}/{n}/full",
            "seedream://generations/{id}/{n}/thumbnail",
        ]
        assert await read(client, uri) == (small, "image/png")
        host.replies["a"] = httpx.Response(403)
        with pytest.raises(MCPError, match="HTTP 403"):
            await read(client, uri)
    host.replies["a"] = ok(small)
    async with with_a_picture(host, SEEDREAM_SAVE_DIR=str(tmp_path)) as (client, uri):
        host.replies.clear()
        data, kind = await read(client, uri)
        assert kind == "image/png"
        assert Image.open(io.BytesIO(data)).size == (64, 64)
        (saved,) = tmp_path.iterdir()
        saved.write_bytes(b"no picture any more")
        with pytest.raises(MCPError, match="no picture"):
            await read(client, uri)
        saved.unlink()
        saved.mkdir()
        with pytest.raises(MCPError, match=r"no picture|directory"):
            await read(client, uri)


async def test_a_large_picture_is_made_smaller_unless_asked_for_in_full() -> None:
    large = noise(2500, 1500)
    assert len(large) > 10**6
    async with with_a_picture(Host(cdn("a"), a=ok(large))) as (client, uri):
        data, kind = await read(client, uri)
        assert len(data) <= MOST_BLOB_BYTES
        assert kind == "image/jpeg"
        assert await read(client, f"{uri}/full") == (large, "image/jpeg")


async def test_a_link_that_does_not_answer_in_time_is_told() -> None:
    with pytest.raises(LookupError, match="in time"):
        await read_picture(
            made(cdn("slow")), 1, form="fit", loopback_ok=False, transport=Host([]), seconds=0.2
        )


async def test_without_a_temporary_folder_the_links_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    plan = Plan(None, preview=True, loopback_ok=False)
    found = await collect(made(cdn("a")), plan, transport=Host([]))
    assert found.pictures == {}
    (warning,) = found.warnings
    assert "the disk failed" in warning


async def test_a_disk_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with with_a_picture(Host(cdn("a"), a=ok(noise(64, 64)))) as (client, uri):
        monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
        with pytest.raises(MCPError, match="No such file"):
            await read(client, uri)


@pytest.mark.parametrize("uri", ["{id}/9", "{id}/0", "ffff/1", "{id}/x", "{id}"])
async def test_a_picture_that_was_not_made_here_is_no_resource(uri: str) -> None:
    async with with_a_picture(Host(cdn("a"))) as (client, known):
        generation_id = known.split("/")[-2]
        with pytest.raises(MCPError):
            await client.read_resource("seedream://generations/" + uri.replace("{id}", generation_id))


async def test_an_expired_link_of_ours_is_replaced_by_the_saved_file(tmp_path: Path) -> None:
    picture = image_bytes(64, 64)
    past = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())
    host = Host([f"https://cdn.example.com/a?Expires={past}"], a=ok(picture))
    async with connect(transport=host, SEEDREAM_SAVE_DIR=str(tmp_path / "saved")) as client:
        await client.call_tool("generate_image", {"prompt": "x"})
        result = await client.call_tool("edit_image", {"prompt": "y", "images": host.urls})
    assert "its link has expired, so the saved file was sent" in text_of(result)
    assert result.structured_content["requested"]["images"][0].startswith("data:image/jpeg;base64,… (")


async def test_only_an_expired_and_saved_link_is_replaced() -> None:
    past = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())
    live, old = "https://cdn.example.com/live", f"https://cdn.example.com/a?Expires={past}"
    transport, requests = answering(pictures(live, old))
    async with connect(transport=transport) as client:
        await client.call_tool("generate_image", {"prompt": "x"})
        await client.call_tool("edit_image", {"prompt": "y", "images": [live, old, URL]})
    assert json.loads(requests[-1].content)["images"] == [live, old, URL]


async def test_recent_images_are_listed_newest_first(tmp_path: Path) -> None:
    host = Host(cdn("a"), a=ok(image_bytes(64, 64)))
    async with connect(transport=host, SEEDREAM_SAVE_DIR=str(tmp_path)) as client:
        empty = await client.call_tool("list_images", {})
        for prompt in ("first", "second", "third"):
            await client.call_tool("generate_image", {"prompt": prompt})
        result = await client.call_tool("list_images", {"limit": 2})
        for wrong in (
            {"limit": 0},
            {"limit": 51},
            {"limit": "2"},
            {"n": 1},
            {"limit": None},
            {"limit": 10**30},
        ):
            refused = await client.call_tool("list_images", wrong)
            assert text_of(refused).startswith("[invalid_argument]")
    assert "No generations" in text_of(empty)
    structured = result.structured_content
    jsonschema.validate(structured, list_output_schema())
    assert [generation["prompt"] for generation in structured["generations"]] == ["third", "second"]
    (image,) = structured["generations"][0]["images"]
    assert image["expired"] is False
    for said in (image["url"], image["saved_path"], "third", "seedream://generations/{id}/{n}"):
        assert said in text_of(result)


async def test_recent_images_are_listed_page_by_page() -> None:
    async with connect(transport=Host(cdn("a"))) as client:
        for prompt in "abcde":
            await client.call_tool("generate_image", {"prompt": prompt})
        pages, arguments = [], {"limit": 2}
        while True:
            result = await client.call_tool("list_images", arguments)
            page = result.structured_content["generations"]
            pages.append([generation["prompt"] for generation in page])
            if not result.structured_content["more"]:
                break
            arguments["before"] = page[-1]["generation_id"]
            assert f"before {arguments['before']}" in text_of(result)
        last = {"limit": 50, "before": page[-1]["generation_id"]}
        beyond = await client.call_tool("list_images", last)
        unknown = await client.call_tool("list_images", {"before": "abc"})
        wrong = await client.call_tool("list_images", {"before": "\ud800"})
    assert pages == [["e", "d"], ["c", "b"], ["a"]]
    assert "No older generations are on record" in text_of(beyond)
    assert text_of(unknown).startswith("[invalid_argument] before: no generation of that id")
    assert text_of(wrong).startswith("[invalid_argument] before: is no generation_id")


def test_a_long_list_is_cut_and_says_so() -> None:
    generations = [made(cdn(*("x" * 900 for _ in range(15))), "word " * 900) for _ in range(50)]
    result = listing(generations, expired, None)
    assert len(text_of(result)) < LONGEST_LIST + 1_000
    assert len(json.dumps(result.structured_content)) < 10**5
    assert result.structured_content["left_out"] > 0
    assert "older ones are left out" in text_of(result)


def test_one_generation_is_listed_however_long_its_links_are() -> None:
    huge = made(cdn(*("x" * 4_000 for _ in range(15))))
    structured = listing([huge, huge], expired, None).structured_content
    assert len(structured["generations"]) == 1
    assert (structured["left_out"], structured["more"]) == (1, True)


def test_an_expired_link_is_listed_as_such() -> None:
    old = made(cdn("a"), created=datetime.now(UTC) - timedelta(days=2))
    result = listing([old], expired, None)
    assert "(expired)" in text_of(result)
    assert result.structured_content["generations"][0]["images"][0]["expired"] is True
