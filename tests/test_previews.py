"""Previews: small, cheap, and never at the cost of the links."""

import base64
import io
import os

import anyio
import httpx
import pytest
from mcp.types import ImageContent
from PIL import Image

from mcp_server.previews import (
    LARGEST_PICTURE,
    MOST_BYTES,
    MOST_BYTES_IN_ALL,
    PreviewError,
    make_previews,
    thumbnail,
)
from tests.conftest import connect, image_bytes, pictures, text_of

pytestmark = pytest.mark.anyio


def noise(width: int, height: int, kind: str = "JPEG") -> bytes:
    """A picture that compresses badly."""
    output = io.BytesIO()
    Image.frombytes("RGB", (width, height), os.urandom(width * height * 3)).save(output, kind)
    return output.getvalue()


class Host(httpx.AsyncBaseTransport):
    """The API, and an image host beside it that answers with `replies` by path."""

    def __init__(self, urls: list[str], **replies: httpx.Response) -> None:
        self.urls, self.replies = urls, replies
        self.headers: list[httpx.Headers] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return pictures(*self.urls)
        self.headers.append(request.headers)
        reply = self.replies.get(request.url.path.strip("/"))
        if reply is None:
            raise httpx.ConnectError("no such host")
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_preview_shows_the_picture_small_and_names_its_type_and_sides(kind: str) -> None:
    preview = thumbnail(noise(2048, 1024, kind))
    small = Image.open(io.BytesIO(preview.jpeg))
    assert (small.format, max(small.size)) == ("JPEG", 320)
    assert len(preview.jpeg) <= MOST_BYTES
    assert (preview.mime_type, preview.width, preview.height) == (f"image/{kind.lower()}", 2048, 1024)


async def test_a_preview_gets_smaller_until_it_fits() -> None:
    preview = thumbnail(noise(400, 400), most_bytes=2_000)
    assert len(preview.jpeg) <= 2_000
    assert max(Image.open(io.BytesIO(preview.jpeg)).size) < 320


@pytest.mark.parametrize("data", [b"", b"<html>", image_bytes(64, 64)[:30], image_bytes(64, 64, "GIF")])
async def test_what_is_no_picture_gives_no_preview(data: bytes) -> None:
    with pytest.raises(PreviewError):
        thumbnail(data)


@pytest.mark.parametrize("side", [6_000, 20_000])
async def test_too_many_pixels_are_not_decoded(side: int) -> None:
    output = io.BytesIO()
    Image.new("1", (side, side)).save(output, "PNG")
    with pytest.raises(PreviewError):
        thumbnail(output.getvalue())


async def test_the_result_carries_the_previews_behind_the_links_and_the_sides() -> None:
    urls = ["https://cdn.example.com/a", "https://cdn.example.com/b"]
    picture = httpx.Response(200, content=noise(1024, 1024, "PNG"))
    host = Host(urls, a=picture, b=picture)
    async with connect(transport=host) as client:
        arguments = {"prompt": "2 foxes", "sequential_image_generation": "auto", "preview": True}
        result = await client.call_tool("generate_image", arguments)
    assert [block.type for block in result.content] == ["text", *["resource_link"] * 2, *["image"] * 2]
    for image in result.structured_content["images"]:
        assert (image["width"], image["height"], image["mime_type"]) == (1024, 1024, "image/png")
    block = result.content[-1]
    assert isinstance(block, ImageContent)
    assert len(base64.b64decode(block.data)) <= MOST_BYTES
    assert all("authorization" not in headers for headers in host.headers)


async def test_fifteen_previews_stay_within_their_bytes_in_all() -> None:
    urls = [f"https://cdn.example.com/p{number}" for number in range(15)]
    picture = httpx.Response(200, content=noise(512, 512))
    host = Host(urls, **{f"p{number}": picture for number in range(15)})
    previews, warnings = await make_previews(urls, loopback_ok=False, transport=host)
    assert (len(previews), warnings) == (15, [])
    assert sum(len(preview.jpeg) for preview in previews.values()) <= MOST_BYTES_IN_ALL


async def test_a_failed_preview_is_a_warning_and_the_links_stay() -> None:
    urls = [f"https://cdn.example.com/{name}" for name in ("good", "gone", "html", "moved", "nowhere")]
    urls += ["http://cdn.example.com/good", "https://cdn.example.com/large", "https://xn--a.com/"]
    host = Host(
        urls,
        good=httpx.Response(200, content=image_bytes(64, 64)),
        gone=httpx.Response(403),
        html=httpx.Response(200, content=b"<html>"),
        moved=httpx.Response(302, headers={"Location": "https://cdn.example.com/good"}),
        large=httpx.Response(200, content=b"\0" * (LARGEST_PICTURE + 1)),
    )
    async with connect(transport=host) as client:
        arguments = {"prompt": "x", "sequential_image_generation": "auto", "max_images": 15, "preview": True}
        result = await client.call_tool("generate_image", arguments)
    assert not result.is_error
    assert all(url in text_of(result) for url in urls)
    warnings = result.structured_content["warnings"]
    for number, said in [
        *((2, "HTTP 403"), (3, "no picture"), (4, "HTTP 302"), (5, "downloaded"), (6, "not https")),
        *((7, "larger than 64 MB"), (8, "could not be made")),
    ]:
        assert any(f"image {number}:" in warning and said in warning for warning in warnings)
    assert [block.type for block in result.content].count("image") == 1


async def test_pictures_that_do_not_come_in_time_are_left_out() -> None:
    class Slow(Host):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/slow":
                await anyio.sleep_forever()
            return await super().handle_async_request(request)

    urls = ["https://cdn.example.com/good", "https://cdn.example.com/slow"]
    host = Slow(urls, good=httpx.Response(200, content=image_bytes(64, 64)))
    previews, (warning,) = await make_previews(urls, loopback_ok=False, transport=host, seconds=0.5)
    assert list(previews) == [0]
    assert warning.startswith("1 previews took too long")
