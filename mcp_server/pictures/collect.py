"""Fetching the pictures of a generation, once each, for saving and for previews."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import httpx

from mcp_server import telemetry
from mcp_server.generations.generation import Generation, Picture
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
class Plan:
    """What is to be done with the pictures."""

    folder: Path | None  # save them there
    preview: bool
    loopback_ok: bool  # links on this machine, for an API that is on it too
    saved_only: bool = False  # leave out those that could not be saved


@dataclass(slots=True)
class Collected:
    """Pictures and thumbnails (JPEGs) by number from 1, and a warning for each that could not be had."""

    pictures: dict[int, Picture] = field(default_factory=dict)
    previews: dict[int, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


async def collect(
    generation: Generation,
    plan: Plan,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    seconds: float | None = None,
) -> Collected:
    """The pictures, fetched, or read where they are saved already.

    Ends after `seconds` with what is there. Raises nothing: the pictures are paid for already.
    """
    known = generation.pictures or {}
    numbers = [
        number for number in range(1, len(generation.urls) + 1) if not plan.saved_only or number in known
    ]
    origins = [Origin(generation, number) for number in numbers]
    collected = Collected()
    most_bytes = min(MOST_BYTES, MOST_BYTES_IN_ALL // max(1, len(origins)))
    limit = seconds or (SECONDS_FOR_SAVING if plan.folder else SECONDS_FOR_PREVIEWS)
    slots = anyio.CapacityLimiter(_AT_ONCE)

    async def fetch(origin: Origin) -> None:
        try:
            async with slots:
                await _fetch(http, origin, plan, most_bytes, collected)
            return
        except PictureError as error:
            reason = str(error)
        except OSError as error:
            reason = f"the disk failed ({error.strerror})"
        except Exception as error:  # noqa: BLE001 - the pictures are paid for: nothing may cost the links
            logger.warning("fetching a picture failed: %s", type(error).__name__)
            reason = "it could not be fetched"
        done = "saved" if plan.folder else "previewed"
        collected.warnings.append(
            f"Image {origin.number} was not {done}: {reason}. Its link is not affected."
        )

    # A client of its own: the API's key must not reach the image host.
    async with httpx.AsyncClient(
        timeout=limit, transport=transport, trust_env=not plan.loopback_ok, headers={"Accept": "image/*"}
    ) as http:
        with anyio.move_on_after(limit) as scope:
            async with anyio.create_task_group() as tasks:
                for origin in origins:
                    tasks.start_soon(fetch, origin)
    if scope.cancelled_caught:
        late = [str(origin.number) for origin in origins if origin.number not in collected.pictures]
        collected.warnings.append(
            f"Images {', '.join(late)} took too long to fetch. Their links are not affected."
        )
    collected.warnings.sort()
    return collected


async def _fetch(
    http: httpx.AsyncClient, origin: Origin, plan: Plan, most_bytes: int, collected: Collected
) -> None:
    known = (origin.generation.pictures or {}).get(origin.number)
    with scratch(None) as temporary:
        path = temporary
        if known and known.saved_path and known.saved_path.exists():
            path = known.saved_path
        else:
            with path.open("wb") as file, telemetry.downloading(origin.url):
                await download(http, origin.url, file, loopback_ok=plan.loopback_ok)
        header = await anyio.to_thread.run_sync(read_header, path)
        saved = known.saved_path if known else None
        if plan.folder and saved is None:
            try:
                saved = await anyio.to_thread.run_sync(save, path, plan.folder, header.mime_type, origin)
            except OSError as error:
                reason = f"the disk failed ({error.strerror})"
                collected.warnings.append(
                    f"Image {origin.number} was not saved: {reason}. Its link is not affected."
                )
        if plan.preview:
            try:
                collected.previews[origin.number] = await anyio.to_thread.run_sync(
                    smaller, path, LONGER_SIDE, most_bytes
                )
            except PictureError as error:
                collected.warnings.append(
                    f"Image {origin.number} has no preview: {error}. Its link is not affected."
                )
        collected.pictures[origin.number] = Picture(header.mime_type, header.width, header.height, saved)
