"""Reading a picture's bytes for a resource: the saved file, else the live link."""

from pathlib import Path
from typing import Literal

import anyio
import httpx
from anyio import to_thread

from mcp_server import telemetry
from mcp_server.generations.generation import Generation
from mcp_server.pictures.download import download
from mcp_server.pictures.save import scratch
from mcp_server.pictures.thumbnail import PictureError, read_header, smaller

Form = Literal["fit", "full", "thumbnail"]
"""A picture as hosts take it, as it is, or small as a view shows it in a row of others."""

MOST_BYTES = 700_000
"""Of a blob that is to fit: in base64 it stays below the 1 MB that hosts take."""

THUMBNAIL_BYTES = 80_000

_SIDE = 2048
_THUMBNAIL_SIDE = 512
_SECONDS = 60.0


async def read_picture(
    generation: Generation,
    number: int,
    *,
    form: Form,
    loopback_ok: bool,
    transport: httpx.AsyncBaseTransport | None,
    seconds: float = _SECONDS,
) -> tuple[bytes, str]:
    """The bytes and type of picture `number`; smaller ones are JPEGs.

    Raises:
        LookupError: it is not saved, and its link does not work; says why.
    """
    picture = (generation.pictures or {}).get(number)
    try:
        if picture and picture.saved_path and picture.saved_path.exists():
            return await to_thread.run_sync(_read, picture.saved_path, form)
        with scratch(None) as path:
            async with httpx.AsyncClient(
                timeout=seconds, transport=transport, trust_env=not loopback_ok
            ) as http:
                url = generation.urls[number - 1]
                with path.open("wb") as file, telemetry.downloading(url), anyio.fail_after(seconds):
                    await download(http, url, file, loopback_ok=loopback_ok)
            return await to_thread.run_sync(_read, path, form)
    except PictureError as error:
        raise LookupError(f"The picture can't be read: {error}") from None
    except TimeoutError:
        raise LookupError("The picture can't be read: its link does not answer in time") from None
    except OSError as error:
        raise LookupError(f"The picture can't be read: {error.strerror}") from None


def _read(path: Path, form: Form) -> tuple[bytes, str]:
    header = read_header(path)
    if form == "thumbnail":
        return smaller(path, _THUMBNAIL_SIDE, THUMBNAIL_BYTES), "image/jpeg"
    if form == "fit" and path.stat().st_size > MOST_BYTES:
        return smaller(path, _SIDE, MOST_BYTES), "image/jpeg"
    return path.read_bytes(), header.mime_type
