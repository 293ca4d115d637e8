"""Downloading a picture's link into a file: bounded, without the API's key, and only from where it may."""

import io
from typing import BinaryIO
from urllib.parse import urljoin

import httpx

from mcp_server import telemetry
from mcp_server.errors import ImageUnusable
from mcp_server.pictures.thumbnail import PictureError
from mcp_server.references.url import check_url

LARGEST_PICTURE = 64 * 1024**2  # bytes
_MOST_REDIRECTS = 3


async def download(http: httpx.AsyncClient, url: str, file: BinaryIO, *, loopback_ok: bool) -> None:
    """Write what `url` leads to into `file`.

    https only, but for an API on this machine (`loopback_ok`); redirects only to public https.

    Raises:
        PictureError: why it could not be had.
    """
    if not url.startswith("https://") and not loopback_ok:
        raise PictureError("its link is not https")
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            async with http.stream("GET", url) as response:
                telemetry.answered(response.status_code)
                if not response.has_redirect_location:
                    await _write(response, file)
                    return
                url = urljoin(url, response.headers["location"])
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            raise PictureError("it could not be downloaded") from None
        _check_redirect(url)
    raise PictureError("its link redirects too often")


def _check_redirect(url: str) -> None:
    try:
        check_url(url, "redirect", loopback_ok=False)
    except ImageUnusable:
        url = ""
    if not url.startswith("https://"):
        raise PictureError("its link redirects to a place that is not public https")


async def _write(response: httpx.Response, file: BinaryIO) -> None:
    if response.status_code != httpx.codes.OK:
        raise PictureError(f"its link answered HTTP {response.status_code}")
    file.seek(0)
    async for chunk in response.aiter_bytes():
        file.write(chunk)
        if file.seek(0, io.SEEK_CUR) > LARGEST_PICTURE:
            raise PictureError("it is larger than 64 MB")
