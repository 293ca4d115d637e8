"""A call that has begun: its waiting, what it gets, and what happens when nobody waits any more."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import anyio
import anyio.abc
import anyio.lowlevel

from mcp_server import telemetry
from mcp_server.errors import Internal, SeedreamError, describe
from mcp_server.generations.beginning import Beginnings, Confirm, Order
from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.generation import Generation, Made
from mcp_server.generations.ledger import LEASE, Begun
from mcp_server.generations.requests import Post, Request, Requests
from mcp_server.generations.words import error_of, said_of
from mcp_server.progress import Phase, making

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.3
"""Between two looks at a generation that another process makes."""

_SETTLE_SECONDS = 0.5
"""How long after a result it is noted as delivered; what can't be written is known much sooner."""

_TICK_SECONDS = 0.01

Finish = Callable[[Generation, list[str] | None], Awaitable[Made]]
"""Makes a call's result of a generation that succeeded, and of the warnings of its saving, if it was here."""


@dataclass(eq=False, slots=True)
class _Wait:
    """A call that waits for a generation, and what it gets once `over` is set."""

    begun: Begun
    request: Request | None  # where this process makes it
    over: anyio.Event = field(default_factory=anyio.Event)
    left: bool = False  # the call has ended
    result: Made | SeedreamError | None = None

    @property
    def generation(self) -> Generation:
        """The generation as it was when the call got it."""
        return self.begun.generation


class Calls:
    """The calls of this process, which is `process` in the ledger."""

    def __init__(
        self,
        process: str,
        ledger: FallbackLedger,
        requests: Requests,
        beginnings: Beginnings,
        *,
        clock: Callable[[], datetime],
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._process = process
        self._ledger = ledger
        self._requests = requests
        self._beginnings = beginnings
        self._clock = clock
        self._tasks = tasks
        self._waits: list[_Wait] = []
        self._handed_out: list[str] = []
        self._marking = False
        self._unread = False
        self._settled = anyio.Event()

    @property
    def idle(self) -> bool:
        """Whether no request is under way and no call waits for one."""
        return not (len(self._requests) or self._waits or self._marking)

    async def make(
        self, order: Order, post: Post, phase: Phase, confirm: Confirm | None, finish: Finish
    ) -> Made:
        """What an order gets. Whatever ends this early abandons the generation, which goes on all the same.

        Raises:
            SeedreamError: what became of the request instead.
        """
        begun = await self._beginnings.begin(order, post, phase, confirm)
        wait = _Wait(begun, self._requests.find(begun.generation.id))
        telemetry.begun(begun.generation.id, recovered=begun.claimed)
        phase.enter("making", making(wait.generation.most, begun.usual_seconds))
        self._waits.append(wait)
        # In a task of the process: work in a thread would hold back the news that the call is cancelled.
        self._tasks.start_soon(self._attend, wait, finish)
        try:
            await wait.over.wait()
            await anyio.lowlevel.checkpoint_if_cancelled()
            if wait.result is None:
                raise Internal
        except BaseException:
            wait.left = True
            with anyio.CancelScope(shield=True):
                await self._ledger.update(wait.generation.id, abandoned=True)
            raise
        finally:
            self._waits.remove(wait)
        self._mark_delivered(wait.generation.id)
        if isinstance(wait.result, SeedreamError):
            raise wait.result
        wait.result.warnings[:0] = said_of(begun)
        return replace(wait.result, recovered=begun.claimed)

    async def _attend(self, wait: "_Wait", finish: Finish) -> None:
        """Find out what a call gets."""
        try:
            if self._beginnings.nobody_listens:  # it was read with the last words of a host that has left
                await self._ledger.update(wait.generation.id, abandoned=True)
            generation, warnings = await self._outcome(wait)
            if generation.status != "succeeded":
                wait.result = error_of(generation)
            elif not wait.left:
                wait.result = await finish(generation, warnings)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the other calls
            logger.error("%s", describe(error))  # noqa: TRY400 - a traceback may hold data
        finally:
            wait.over.set()

    async def _outcome(self, wait: "_Wait") -> tuple[Generation, list[str] | None]:
        """The generation once it is over, and warnings of its saving; None where it was made elsewhere."""
        if wait.request:
            await wait.request.over.wait()
            return wait.request.generation, wait.request.warnings
        generation = wait.generation
        while not _over(generation):
            found = await self._ledger.get(generation.caller, generation.id)
            if found or not self._ledger.trouble:  # or else it could not be looked at
                generation = found or replace(generation, status="unknown", pictures={})
            if not _over(generation):
                await anyio.sleep(_POLL_SECONDS)
        return generation, None

    def _mark_delivered(self, generation_id: str) -> None:
        """Note that the result went out, a little later: by then it is known whether it could be written."""
        if self._beginnings.nobody_listens:
            return
        self._handed_out.append(generation_id)
        if not self._marking:
            self._marking = True
            self._tasks.start_soon(self._mark)

    async def _mark(self) -> None:
        try:
            while self._handed_out:
                ids, self._handed_out = self._handed_out, []
                with anyio.move_on_after(_SETTLE_SECONDS):
                    await self._settled.wait()
                with anyio.CancelScope(shield=True):
                    await self._ledger.update(*ids, abandoned=self._unread, delivered=not self._unread)
        finally:
            self._marking = False

    async def abandon_all(self, *, unread: bool) -> None:
        """Abandon what calls wait for, and if `unread` also the results that went out just now.

        Results may still go out, but nobody is known to read them.
        """
        self._beginnings.nobody_listens = True
        self._unread = unread
        for wait in list(self._waits):
            await self._ledger.update(wait.generation.id, abandoned=True)

    async def drain(self, seconds: float, hurry: anyio.Event) -> None:
        """Begin nothing more; wait for what is under way, then give it up."""
        self._beginnings.ending = True
        await self._beginnings.settle()
        await self._requests.drain(seconds, hurry)
        self._settled.set()
        while self._marking:  # noqa: ASYNC110 - a moment, at the end of the process
            await anyio.sleep(_TICK_SECONDS)

    async def keep_lease(self, pause: float = LEASE.total_seconds() / 3) -> None:
        """Renew this process's lease for as long as it has work, with `pause` seconds between."""
        while True:
            await anyio.sleep(pause)
            if not self.idle:
                await self._ledger.renew(self._process, self._clock() + LEASE)


def _over(generation: Generation) -> bool:
    return generation.status != "pending" and generation.pictures is not None
