"""The pictures of the generations on record: saved, previewed, read again, found by their link."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx

from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.generation import Generation, Made, Picture
from mcp_server.generations.ledger import day_of

if TYPE_CHECKING:
    from mcp_server.pictures.read import Form


class Album:
    """The pictures that `ledger` knows of; `process` is this process in it, `folder` where they are saved.

    `transport` replaces the network, for tests.
    """

    def __init__(
        self,
        ledger: FallbackLedger,
        process: str,
        folder: Path | None,
        *,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None,
        loopback_ok: bool,
    ) -> None:
        self._ledger = ledger
        self._process = process
        self._folder = folder
        self._clock = clock
        self._transport = transport
        self._loopback_ok = loopback_ok

    async def finish(self, generation: Generation, warnings: list[str] | None, *, preview: bool) -> Made:
        """What a call gets: the pictures saved by now, thumbnails where asked for, today's count.

        `warnings` are those of the saving; None where another process had to do it, and may have ended.
        """
        if warnings is None:
            generation, warnings = await self.save(generation) if self._folder else (generation, [])
        previews: Mapping[int, bytes] = {}
        if preview:
            from mcp_server.pictures import Plan, collect  # Pillow: only where asked for

            plan = Plan(None, preview=True, loopback_ok=self._loopback_ok, saved_only=bool(self._folder))
            collected = await collect(generation, plan, transport=self._transport)
            previews, warnings = collected.previews, [*warnings, *collected.warnings]
            generation = await self._with_pictures(generation, collected.pictures)
        day = day_of(self._clock())
        today = await self._ledger.images_since(generation.caller, day, emulated=generation.emulated)
        trouble = [self._ledger.trouble] if self._ledger.trouble else []
        return Made(generation, today, warnings=[*trouble, *warnings], previews=previews)

    async def save(self, generation: Generation) -> tuple[Generation, list[str]]:
        """Save every picture that is not; the generation with what is known of them, and warnings."""
        from mcp_server.pictures import Plan, collect

        plan = Plan(self._folder, preview=False, loopback_ok=self._loopback_ok)
        collected = await collect(generation, plan, transport=self._transport)
        return await self._with_pictures(generation, collected.pictures), collected.warnings

    def expired(self, generation: Generation, number: int) -> bool:
        """Whether the link to picture `number` works no more: that of an embedded emulator ends with it."""
        ended = generation.emulated and generation.owner != self._process
        return ended or generation.expires(number) <= self._clock()

    async def saved_instead_of(self, caller: str, url: str) -> Path | None:
        """The saved file of a picture of the caller's whose link has expired; None for any other URL."""
        generation = await self._ledger.with_link(caller, url)
        if generation is None:
            return None
        number = generation.urls.index(url) + 1
        picture = (generation.pictures or {}).get(number)
        return picture.saved_path if picture and self.expired(generation, number) else None

    async def read(self, caller: str, generation_id: str, number: int, form: "Form") -> tuple[bytes, str]:
        """The bytes and type of a picture of the caller's, from its saved file, else from its live link.

        Raises:
            LookupError: there is no such picture, or it can't be had any more; says why.
        """
        generation = await self._ledger.get(caller, generation_id)
        if generation is None or not 1 <= number <= len(generation.urls):
            raise LookupError("There is no such picture in the record of generations")
        from mcp_server.pictures.read import read_picture

        return await read_picture(
            generation, number, form=form, loopback_ok=self._loopback_ok, transport=self._transport
        )

    async def _with_pictures(self, generation: Generation, pictures: Mapping[int, Picture]) -> Generation:
        known = {**(generation.pictures or {}), **pictures}
        if known != generation.pictures:
            generation = replace(generation, pictures=known)
            with anyio.CancelScope(shield=True):
                await self._ledger.update(generation.id, pictures=known)
        return generation
