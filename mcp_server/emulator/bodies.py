"""What comes in: the body of a request, and a reference by URL, each with a bound on its size."""

from urllib.parse import urlsplit

import httpx
from starlette.requests import Request

from mcp_server.emulator import contract
from mcp_server.emulator.contract import ApiError, bad_request

_REFERENCE_ROOM = 16 * 1024**2  # 10 MB in base64, and to spare
_FETCH_SECONDS = 20.0


async def read_body(request: Request, references: int = 1) -> bytes:
    """The whole body.

    Raises:
        ApiError: it is larger than so many references of 10 MB take.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > references * _REFERENCE_ROOM:
            raise ApiError(413, "INVALID_REQUEST_BODY", "the body is too large")
    return bytes(body)


async def download(url: str, name: str) -> bytes:
    """A reference by URL, as the API would load it; `name` is what errors call it.

    Raises:
        ApiError: it can't be had, or is larger than a reference may be.
    """
    data = bytearray()
    try:
        _ = urlsplit(url).port  # a ValueError where it is out of range, which httpx lets through
        async with (
            httpx.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=True) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > contract.REFERENCE_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):  # the last for names that are none
        raise bad_request(f"{name}: can't be downloaded") from None
    return bytes(data)
