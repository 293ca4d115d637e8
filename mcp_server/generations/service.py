"""The service that owns everything a process has once, whatever its transports do.

One ledger, one pooled upstream client and one table of requests under way, each made on first use; one
limit on requests at once; the embedded emulator where it is asked for.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import anyio
import anyio.abc
from anyio import to_thread

from mcp_server.errors import NotConfigured
from mcp_server.generations.generation import Made
from mcp_server.generations.ledger import Terms
from mcp_server.hosts import is_loopback
from mcp_server.progress import Phase
from mcp_server.references import References, Rules
from mcp_server.settings import Settings

if TYPE_CHECKING:
    import httpx

    from mcp_server.client import SeedreamClient
    from mcp_server.generations.album import Album
    from mcp_server.generations.beginning import Confirm
    from mcp_server.generations.call import Calls
    from mcp_server.generations.fallback import FallbackLedger

_PRUNE_EVERY = timedelta(hours=6)


class Generations:
    """Makes generations. An async context manager: what it started ends with it.

    `remote` says that callers come over the network. `transport` replaces the network, `sleep` the waiting,
    `clock` the time, `ledger` the one that the settings name, in which this process is `process`; they are
    for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        remote: bool = False,
        transport: "httpx.AsyncBaseTransport | None" = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        ledger: "FallbackLedger | None" = None,
        process: str | None = None,
    ) -> None:
        self.settings = settings
        self.remote = remote
        self._transport = transport
        self._sleep = sleep
        self._clock = clock
        self._ledger = ledger
        self._process = process or secrets.token_hex(8)
        self._exits = AsyncExitStack()
        self._client: SeedreamClient | None = None
        self._calls: Calls | None = None
        self._album: Album | None = None
        self._starting = anyio.Lock()
        self._hurry = anyio.Event()
        self._nobody_listens = False
        self._decoding = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        await self._exits.__aenter__()
        self._tasks = await self._exits.enter_async_context(anyio.create_task_group())
        self._exits.callback(self._tasks.cancel_scope.cancel)
        if self.settings.shared:
            self._tasks.start_soon(self.ledger.attend)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.drain()
            if self._ledger:
                await self._ledger.renew(self._process, self._clock())  # it ends here
                await self._ledger.close()
        # Unwound last in, first out: the client closes before the emulator that it speaks to.
        await self._exits.__aexit__(kind, error, trace)

    async def drain(self, seconds: float | None = None) -> None:
        """Take no more calls, and wait for the requests under way: `seconds`, or `SEEDREAM_DRAIN_SECONDS`.

        What is still under way then is given up, and recorded as unknown.
        """
        if self._calls:
            limit = self.settings.drain_seconds if seconds is None else seconds
            await self._calls.drain(limit, self._hurry)

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self._calls and not self._calls.idle)

    def hurry(self) -> None:
        """End a drain now."""
        self._hurry.set()

    async def abandon_all(self, *, unread: bool = False) -> None:
        """Take it that no result will reach its caller any more; `unread`: nor did the very last ones."""
        self._nobody_listens = True
        if self._calls:
            await self._calls.abandon_all(unread=unread)

    @property
    def loopback_ok(self) -> bool:
        """Whether the API is on this machine, so that it reaches URLs on this machine too."""
        return self.settings.emulator or is_loopback(urlsplit(self.settings.base_url).hostname or "")

    @property
    def ledger(self) -> "FallbackLedger":
        """The ledger that the settings name; opened by its first use."""
        if self._ledger is None:
            from mcp_server.generations.stores import open_ledger

            self._ledger = open_ledger(
                self.settings.store_url, self._process, self._clock, named=not self.remote
            )
        return self._ledger

    @property
    def trouble(self) -> str | None:
        """What each result must say of the ledger, while it can't be used."""
        return self._ledger.trouble if self._ledger else None

    def rules(self, caller: str) -> Rules:
        """What reference images may be in this process, for this caller."""
        folders = self.settings.input_dirs
        return Rules(
            self.settings.limits,
            loopback_ok=self.loopback_ok,
            folders=() if folders is None and self.remote else folders,
            fit=self.settings.fit_references,
            one_at_a_time=self._decoding,
            saved_instead_of=lambda url: self.album.saved_instead_of(caller, url),
        )

    async def check_ready(self, key: str | None = None) -> None:
        """Check that a request could be made, and its pictures be saved, before anything is paid for.

        `key` is the caller's own.

        Raises:
            NotConfigured: says which variable to set, and how to go without a key.
        """
        if not (key or self.settings.api_key or self.settings.emulator):
            raise NotConfigured(
                "There is no API key: the environment variable NOVITA_API_KEY is not set",
                "a person must get a key at https://novita.ai (Settings, then Key Management), put it into "
                "NOVITA_API_KEY in this server's configuration in the host, and restart the server. To try "
                "the server without a key and for free, set SEEDREAM_EMULATOR=1 instead",
            )
        if self.settings.save_dir:
            from mcp_server.pictures.save import check_folder

            await to_thread.run_sync(check_folder, self.settings.save_dir)

    async def make(
        self,
        caller: str,
        body: Mapping[str, Any],
        references: References,
        *,
        preview: bool = False,
        phase: Phase | None = None,
        confirm: "Confirm | None" = None,
        key: str | None = None,
    ) -> Made:
        """The pictures of one checked call, paid by the account of `key`, or else by the server's.

        Cancelled, it abandons them: they are made all the same, and go to the caller's next identical call.

        Raises:
            SeedreamError: one of its kinds; each knows whether anything was billed.
        """
        client = self._client or await self._start()
        from mcp_server.generations.beginning import Order

        settings, path = self.settings, self.settings.limits.path
        endpoint = f"{'emulator:' if settings.emulator else settings.base_url}{path}"
        if key:  # whoever pays gets the pictures
            endpoint += f"#{hashlib.sha256(key.encode()).hexdigest()}"
        order = Order(caller, endpoint, settings.model, body, references, emulated=settings.emulator)
        finish = partial(self.album.finish, preview=preview)
        calls = self._calls or self._start_calls()
        post = partial(client.generate, path, key=None if settings.emulator else key)
        return await calls.make(order, post, phase or Phase(), confirm, finish)

    @property
    def album(self) -> "Album":
        """The pictures of the generations on record."""
        if self._album is None:
            from mcp_server.generations.album import Album

            self._album = Album(
                self.ledger,
                self._process,
                self.settings.save_dir,
                clock=self._clock,
                transport=self._transport,
                loopback_ok=self.loopback_ok,
            )
        return self._album

    def _start_calls(self) -> "Calls":
        from mcp_server.generations.beginning import Beginnings
        from mcp_server.generations.call import Calls
        from mcp_server.generations.requests import Requests

        settings, ledger = self.settings, self.ledger
        save = self.album.save if settings.save_dir else None
        requests = Requests(ledger, self._tasks, self._clock, save)
        beginnings = Beginnings(
            self._process,
            ledger,
            requests,
            Terms(settings.images_per_minute, settings.images_per_day),
            most_at_once=settings.max_concurrency,
            clock=self._clock,
            sleep=self._sleep,
            told_of_doubts=self.remote,
        )
        beginnings.nobody_listens = self._nobody_listens
        self._calls = calls = Calls(
            self._process, ledger, requests, beginnings, clock=self._clock, tasks=self._tasks
        )
        self._tasks.start_soon(calls.keep_lease)
        self._tasks.start_soon(self._keep_pruned)
        return calls

    async def _keep_pruned(self) -> None:
        while True:
            await self.ledger.prune(self._clock() - timedelta(days=self.settings.history_days))
            await anyio.sleep(_PRUNE_EVERY.total_seconds())

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
