"""The service that owns everything a process has once, whatever its transports do.

One pooled upstream client, made on first use; one limit on requests at once; the embedded emulator
where it is asked for; the count of today's images.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import anyio
import anyio.abc
from anyio import to_thread

from mcp_server.errors import NotConfigured
from mcp_server.generations.history import Generation, History
from mcp_server.references import Rules
from mcp_server.request import billable_images, without_image_data
from mcp_server.settings import Settings, is_loopback

if TYPE_CHECKING:
    import httpx

    from mcp_server.client import SeedreamClient


class Generations:
    """Makes generations. An async context manager: what it started ends with it.

    `remote` says that callers come over the network. `transport` replaces the network, `sleep` the waiting
    between attempts; both are for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        remote: bool = False,
        transport: "httpx.AsyncBaseTransport | None" = None,
        sleep: Callable[[float], Any] = anyio.sleep,
    ) -> None:
        self.settings = settings
        self._remote = remote
        self._transport = transport
        self._sleep = sleep
        self._exits = AsyncExitStack()
        self._client: SeedreamClient | None = None
        self._starting = anyio.Lock()
        self._slots = anyio.CapacityLimiter(settings.max_concurrency)
        self._today = (datetime.now(UTC).date(), 0)
        self.history = History()
        self._decoding = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        await self._exits.__aenter__()
        self._tasks = await self._exits.enter_async_context(anyio.create_task_group())
        # Unwound last in, first out: the client closes before the emulator that it speaks to.
        self._exits.callback(self._tasks.cancel_scope.cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.__aexit__(kind, error, trace)

    @property
    def loopback_ok(self) -> bool:
        """Whether the API is on this machine, so that it reaches URLs on this machine too."""
        return self.settings.emulator or is_loopback(urlsplit(self.settings.base_url).hostname or "")

    @property
    def rules(self) -> Rules:
        """What reference images may be in this process."""
        folders = self.settings.input_dirs
        return Rules(
            self.settings.limits,
            loopback_ok=self.loopback_ok,
            folders=() if folders is None and self._remote else folders,
            fit=self.settings.fit_references,
            one_at_a_time=self._decoding,
            saved_instead_of=self.history.saved_instead_of,
        )

    async def check_ready(self) -> None:
        """Check that a request could be made, and its pictures be saved, before anything is paid for.

        Raises:
            NotConfigured: says which variable to set, and how to go without a key.
        """
        if self.settings.api_key is None and not self.settings.emulator:
            raise NotConfigured(
                "There is no API key: the environment variable NOVITA_API_KEY is not set",
                "a person must get a key at https://novita.ai (Settings, then Key Management), put it into "
                "NOVITA_API_KEY in this server's configuration in the host, and restart the server. To try "
                "the server without a key and for free, set SEEDREAM_EMULATOR=1 instead",
            )
        if self.settings.save_dir:
            from mcp_server.pictures.save import check_folder

            await to_thread.run_sync(check_folder, self.settings.save_dir)

    async def generate(self, body: Mapping[str, Any]) -> Generation:
        """Send one request and wait for its pictures.

        Waits for a free slot first where `SEEDREAM_MAX_CONCURRENCY` requests are under way.

        Raises:
            SeedreamError: one of its kinds; each knows whether anything was billed.
        """
        client = self._client or await self._start()
        async with self._slots:
            reply = await client.generate(self.settings.limits.path, body, billable_images(body))
        now = datetime.now(UTC)
        day, count = self._today
        self._today = (now.date(), (count if day == now.date() else 0) + len(reply.urls))
        generation = Generation(
            id=secrets.token_hex(8),
            model=self.settings.model,
            prompt=body["prompt"],
            requested=without_image_data(body),
            urls=reply.urls,
            unusable=reply.unusable,
            created=now,
            images_today=self._today[1],
            emulated=self.settings.emulator,
        )
        self.history.add(generation)
        return generation

    async def collect(self, generation: Generation, *, preview: bool) -> list[str]:
        """Fetch the pictures where they are to be saved or shown; warnings for those that failed.

        What is known of them then stands in `generation.pictures`.
        """
        folder = self.settings.save_dir
        if not folder and not preview:
            return []
        from mcp_server.pictures import Plan, collect  # Pillow and httpx: only where asked for

        plan = Plan(folder, preview, self.loopback_ok)
        pictures, warnings = await collect(generation, plan, transport=self._transport)
        generation.pictures.update(pictures)
        return warnings

    async def read_picture(self, generation_id: str, number: int, *, full: bool) -> tuple[bytes, str]:
        """The bytes and type of a picture that this process has made: its saved file, else its live link.

        Raises:
            LookupError: there is no such picture, or it can't be had any more; says why.
        """
        generation = self.history.find(generation_id)
        if generation is None or not 1 <= number <= len(generation.urls):
            raise LookupError("This server process has made no such picture")
        from mcp_server.pictures.read import read_picture

        return await read_picture(
            generation, number, full=full, loopback_ok=self.loopback_ok, transport=self._transport
        )

    async def _start(self) -> "SeedreamClient":
        async with self._starting:
            if self._client is None:
                # httpx, and the emulator with Pillow and uvicorn, are imported by the first call:
                # the tool list does not need them.
                from mcp_server.client import SeedreamClient

                settings = self.settings
                key = settings.api_key.get_secret_value() if settings.api_key else ""
                base_url = settings.base_url
                if settings.emulator:
                    from mcp_server.emulator import API_KEY, Emulator

                    key, base_url = API_KEY, await self._tasks.start(Emulator(api_key=API_KEY).serve)
                self._client = SeedreamClient(
                    base_url,
                    key,
                    timeout_seconds=settings.timeout_seconds,
                    trust_env=not settings.emulator,  # no proxy reaches into this process
                    transport=self._transport,
                    sleep=self._sleep,
                )
                self._exits.push_async_callback(self._client.aclose)
            return self._client
