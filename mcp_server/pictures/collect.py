"""Fetching the pictures of a generation, once each, for saving and for previews."""

import logging
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import httpx

from mcp_server.generations.history import Generation
from mcp_server.pictures.download import download
from mcp_server.pictures.save import Origin, save, scratch
from mcp_server.pictures.thumbnail import (
    LONGER_SIDE,
    MOST_BYTES,
    MOST_BYTES_IN_ALL,
    PictureError,
    read_header,
    smaller,
)

logger = logging.getLogger(__name__)

_AT_ONCE = 5
SECONDS_FOR_PREVIEWS = 15.0
SECONDS_FOR_SAVING = 60.0
"""How long the pictures may take in all. They are extras: they may not outlast the host's patience."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was fetched: what it is by its content, where it is saved, its thumbnail."""

    mime_type: str
    width: int
    height: int
    saved_path: Path | None = None
    preview: bytes | None = None  # a JPEG


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the pictures."""

    folder: Path | None  # save them there
    preview: bool
    loopback_ok: bool  # links on this machine, for an API that is on it too


async def collect(
    generation: Generation,
    plan: Plan,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    seconds: float | None = None,
) -> tuple[dict[int, Picture], list[str]]:
    """The pictures by number (from 1), and a warning for each that could not be had, saved or shown.

    Ends after `seconds` with what is there. Raises nothing: the pictures are paid for already.
    """
    origins = [Origin(generation, number) for number in range(1, len(generation.urls) + 1)]
    pictures: dict[int, Picture] = {}
    warnings: list[str] = []
    most_bytes = min(MOST_BYTES, MOST_BYTES_IN_ALL // max(1, len(origins)))
    limit = seconds or (SECONDS_FOR_SAVING if plan.folder else SECONDS_FOR_PREVIEWS)
    slots = anyio.CapacityLimiter(_AT_ONCE)

    async def fetch(origin: Origin) -> None:
        try:
            async with slots:
                pictures[origin.number] = await _fetch(http, origin, plan, most_bytes, warnings)
            return
        except PictureError as error:
            reason = str(error)
        except OSError as error:
            reason = f"the disk failed ({error.strerror})"
        except Exception as error:  # noqa: BLE001 - the pictures are paid for: nothing may cost the links
            logger.warning("fetching a picture failed: %s", type(error).__name__)
            reason = "it could not be fetched"
        done = "saved" if plan.folder else "previewed"
        warnings.append(f"Image {origin.number} was not {done}: {reason}. Its link is not affected.")

    # A client of its own: the API's key must not reach the image host.
    async with httpx.AsyncClient(
        timeout=limit, transport=transport, trust_env=not plan.loopback_ok, headers={"Accept": "image/*"}
    ) as http:
        with anyio.move_on_after(limit) as scope:
            async with anyio.create_task_group() as tasks:
                for origin in origins:
                    tasks.start_soon(fetch, origin)
    if scope.cancelled_caught:
        late = [str(origin.number) for origin in origins if origin.number not in pictures]
        warnings.append(f"Images {', '.join(late)} took too long to fetch. Their links are not affected.")
    return pictures, sorted(warnings)


async def _fetch(
    http: httpx.AsyncClient, origin: Origin, plan: Plan, most_bytes: int, warnings: list[str]
) -> Picture:
    with scratch(None) as path:
        with path.open("wb") as file:
            await download(http, origin.url, file, loopback_ok=plan.loopback_ok)
        header = await anyio.to_thread.run_sync(read_header, path)
        saved = preview = None
        if plan.folder:
            try:
                saved = await anyio.to_thread.run_sync(save, path, plan.folder, header.mime_type, origin)
            except OSError as error:
                reason = f"the disk failed ({error.strerror})"
                warnings.append(f"Image {origin.number} was not saved: {reason}. Its link is not affected.")
        if plan.preview:
            try:
                preview = await anyio.to_thread.run_sync(smaller, path, LONGER_SIDE, most_bytes)
            except PictureError as error:
                warnings.append(f"Image {origin.number} has no preview: {error}. Its link is not affected.")
        return Picture(header.mime_type, header.width, header.height, saved, preview)
