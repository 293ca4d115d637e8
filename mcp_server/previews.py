"""Thumbnails of the pictures made, for models that can look.

A preview is an extra: where one fails, the links are still there, and a warning says so.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread
import httpx
from PIL import Image

logger = logging.getLogger(__name__)

LONGER_SIDE = 320  # px
MOST_BYTES = 24_000  # of one thumbnail
MOST_BYTES_IN_ALL = 300_000
LARGEST_PICTURE = 64 * 1024**2  # bytes downloaded for one
MOST_PIXELS = 4096 * 4096 * 2
_AT_ONCE = 5
_SECONDS_IN_ALL = 15.0  # a preview is an extra: it may not outlast the host's patience with the call


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
    urls: Sequence[str],
    *,
    loopback_ok: bool,
    transport: httpx.AsyncBaseTransport | None = None,
    seconds: float = _SECONDS_IN_ALL,
) -> tuple[dict[int, Preview], list[str]]:
    """Thumbnails by the index of their URL (from 0), and a warning for each that failed.

    Ends after `seconds` with what is there. Raises nothing: the pictures are paid for already.
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
            return
        except PreviewError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - the pictures are paid for: nothing may cost the links
            logger.warning("preview failed: %s", type(error).__name__)
            reason = "it could not be made"
        warnings.append(f"No preview of image {index + 1}: {reason}. Its link is not affected.")

    # A client of its own: the API's key must not reach the image host.
    async with httpx.AsyncClient(timeout=seconds, transport=transport, trust_env=not loopback_ok) as http:
        with anyio.move_on_after(seconds) as limit:
            async with anyio.create_task_group() as tasks:
                for index in range(len(urls)):
                    tasks.start_soon(make, index)
    if limit.cancelled_caught:
        missing = len(urls) - len(previews) - len(warnings)
        warnings.append(f"{missing} previews took too long and were left out. The links are not affected.")
    return previews, sorted(warnings)


async def _download(http: httpx.AsyncClient, url: str, *, loopback_ok: bool) -> bytes:
    if not url.startswith("https://") and not loopback_ok:
        raise PreviewError("its link is not https")
    data = bytearray()
    try:
        async with http.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise PreviewError(f"its link answered HTTP {response.status_code}")
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > LARGEST_PICTURE:
                    raise PreviewError("it is larger than 64 MB")
    except (httpx.HTTPError, httpx.InvalidURL):
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
