"""Thumbnails of the pictures made, for models that can look.

A preview is an extra: where one fails, the links are still there, and a warning says so.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread
import httpx
from PIL import Image

LONGER_SIDE = 320  # px
MOST_BYTES = 24_000  # of one thumbnail
MOST_BYTES_IN_ALL = 300_000
LARGEST_PICTURE = 64 * 1024**2  # bytes downloaded for one
MOST_PIXELS = 4096 * 4096 * 2
_AT_ONCE = 3
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Preview:
    """A thumbnail as JPEG, and what the picture itself was: its type and sides in px."""

    jpeg: bytes
    mime_type: str
    width: int
    height: int


class PreviewError(Exception):
    """Why there is no preview of a picture, in a few words of our own."""


async def make_previews(
    urls: Sequence[str], *, loopback_ok: bool, transport: httpx.AsyncBaseTransport | None = None
) -> tuple[dict[int, Preview], list[str]]:
    """Thumbnails by the index of their URL (from 0), and a warning for each that failed.

    Only https is loaded, but for an API on this machine (`loopback_ok`); redirects are not followed.
    """
    previews: dict[int, Preview] = {}
    warnings: list[str] = []
    most_bytes = min(MOST_BYTES, MOST_BYTES_IN_ALL // max(1, len(urls)))
    slots = anyio.CapacityLimiter(_AT_ONCE)

    async def make(index: int) -> None:
        try:
            async with slots:
                data = await _download(http, urls[index], loopback_ok=loopback_ok)
                previews[index] = await anyio.to_thread.run_sync(thumbnail, data, most_bytes)
        except PreviewError as error:
            warnings.append(f"No preview of image {index + 1}: {error}. Its link is not affected.")

    # A client of its own: the API's key must not reach the image host.
    async with httpx.AsyncClient(timeout=_SECONDS, transport=transport, trust_env=not loopback_ok) as http:
        async with anyio.create_task_group() as tasks:
            for index in range(len(urls)):
                tasks.start_soon(make, index)
    return previews, sorted(warnings)


async def _download(http: httpx.AsyncClient, url: str, *, loopback_ok: bool) -> bytes:
    if not url.startswith("https://") and not loopback_ok:
        raise PreviewError("its link is not https")
    data = bytearray()
    try:
        with anyio.fail_after(_SECONDS):
            async with http.stream("GET", url) as response:
                if response.status_code != httpx.codes.OK:
                    raise PreviewError(f"its link answered HTTP {response.status_code}")
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > LARGEST_PICTURE:
                        raise PreviewError("it is larger than 64 MB")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        raise PreviewError("it could not be downloaded") from None
    return bytes(data)


def thumbnail(data: bytes, most_bytes: int = MOST_BYTES) -> Preview:
    """A JPEG of at most 320 px on the longer side and `most_bytes`, whatever the picture.

    Raises:
        PreviewError: `data` is no picture that can be read.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            width, height = image.size
            mime_type = "image/jpeg" if image.format in ("JPEG", "MPO") else f"image/{image.format}".lower()
            if width * height > MOST_PIXELS:
                raise PreviewError("it has too many pixels")
            # A JPEG is decoded at an eighth of its size where that is enough: 4K costs little.
            image.draft("RGB", (LONGER_SIDE, LONGER_SIDE))
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise PreviewError("it is no picture that can be read") from None
    side = LONGER_SIDE
    while True:
        small.thumbnail((side, side))
        for quality in (85, 70, 50, 30):
            output = io.BytesIO()
            small.save(output, "JPEG", quality=quality, optimize=True)
            if output.tell() <= most_bytes:
                return Preview(output.getvalue(), mime_type, width, height)
        side //= 2
