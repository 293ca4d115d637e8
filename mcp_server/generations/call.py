"""One call's way: a claim, or budget, slot and request; waiting; and what happens when nobody waits."""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import anyio
import anyio.abc
import anyio.lowlevel

from mcp_server import telemetry
from mcp_server.errors import Internal, SeedreamError, describe
from mcp_server.generations.budget import refuse
from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.generation import Generation, Made
from mcp_server.generations.identity import fingerprint
from mcp_server.generations.ledger import LEASE, Begun, Full, Held, Terms, day_of
from mcp_server.generations.requests import Post, Request, Requests
from mcp_server.generations.words import error_of, no_more, said_of
from mcp_server.progress import Phase, making
from mcp_server.references import References
from mcp_server.request import billable_images, without_image_data

logger = logging.getLogger(__name__)

LONGEST_WAIT = timedelta(seconds=60)
"""How long a call waits for its turn under `SEEDREAM_IMAGES_PER_MINUTE`: a whole window."""

_POLL_SECONDS = 0.3
"""Between two looks at a generation that another process makes."""

_TURN_SECONDS = 1.0
"""Between two looks at a budget: others may have settled for less than they had reserved."""

_SETTLE_SECONDS = 0.5
"""How long after a result it is noted as delivered; what can't be written is known much sooner."""

_TICK_SECONDS = 0.01

_DOUBTFUL = timedelta(hours=1)
"""For how long after a crash an identical call counts as a repetition."""

Confirm = Callable[[int], Awaitable[None]]
"""Asks the person whether so many images may be billed. Raises what ends the call where they may not."""

Finish = Callable[[Generation, list[str] | None], Awaitable[Made]]
"""Makes a call's result of a generation that succeeded, and of the warnings of its saving, if it was here."""


@dataclass(frozen=True, slots=True)
class Order:
    """A checked call: who asks for what."""

    caller: str
    endpoint: str  # where the request goes
    model: str
    body: Mapping[str, Any]
    references: References
    emulated: bool = False

    @property
    def most(self) -> int:
        """Images that it may bill."""
        return billable_images(self.body)


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
    """The calls of this process, which is `process` in the ledger.

    With `told_of_doubts` the first identical call after one that a crash cut off gets that one's outcome, an
    error, and not a request of its own: over a network calls are repeated by themselves.
    """

    def __init__(
        self,
        process: str,
        ledger: FallbackLedger,
        requests: Requests,
        terms: Terms,
        *,
        most_at_once: int,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        tasks: anyio.abc.TaskGroup,
        told_of_doubts: bool = False,
        nobody_listens: bool = False,
    ) -> None:
        self._process = process
        self._ledger = ledger
        self._requests = requests
        self._terms = terms
        self._slots = anyio.Semaphore(most_at_once)
        self._clock = clock
        self._sleep = sleep
        self._tasks = tasks
        self._waits: list[_Wait] = []
        self._turns: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()
        self._takers = 0
        self._handed_out: list[str] = []
        self._marking = False
        self._ending = False
        self._told_of_doubts = told_of_doubts
        self._nobody_listens = nobody_listens
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
        wait = await self._begin(order, post, phase, confirm)
        begun = wait.begun
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
            if self._nobody_listens:  # it was read with the last words of a host that has left
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

    async def _begin(self, order: Order, post: Post, phase: Phase, confirm: Confirm | None) -> "_Wait":
        """A row for the order: one to claim, or a new one whose request is on its way."""
        self._check_not_ending()
        wanted = Generation(
            id=secrets.token_hex(8),
            caller=order.caller,
            fingerprint=await fingerprint(order.endpoint, order.body),
            owner=self._process,
            waiter=self._process,
            model=order.model,
            prompt=order.body["prompt"],
            requested=without_image_data(order.body),
            emulated=order.emulated,
            most=order.most,
            counted=order.most,
            created=self._clock(),
        )
        if confirm:
            if claimed := await self._claim(wanted, phase):
                return claimed
            await self._check_day(wanted)
            if self._nobody_listens:
                raise no_more()
            await confirm(order.most)
        patience = self._clock() + LONGEST_WAIT
        while True:
            taken = await self._take_with_slot(order, wanted, post, phase)
            if isinstance(taken, _Wait):
                return taken
            if isinstance(taken, Full):
                await self._wait_for_room(taken, wanted, patience, phase)
            else:
                await self._wait_for_news(phase)

    async def _claim(self, wanted: Generation, phase: Phase) -> "_Wait | None":
        """An abandoned row, if there is one."""
        while isinstance(taken := await self._take(wanted, None, _send_nothing), Held):
            await self._wait_for_news(phase)
        return taken if isinstance(taken, _Wait) else None

    async def _take_with_slot(
        self, order: Order, wanted: Generation, post: Post, phase: Phase
    ) -> "_Wait | Full | Held | None":
        """A row to claim, or a new one whose request is sent once there is a slot for it."""
        immediate = self._slots.value > 0
        if not immediate:
            phase.enter("slot", lambda waited: f"Waiting for other requests to end, {waited:.0f} s")
        await self._slots.acquire()
        if self._nobody_listens and not immediate:
            self._slots.release()
            raise no_more()
        sent = False

        def send(wanted: Generation) -> None:
            nonlocal sent
            self._requests.send(wanted, order.body, order.references, post, self._slots.release)
            sent = True

        try:
            return await self._take(replace(wanted, created=self._clock()), self._terms, send)
        finally:
            if not sent:
                self._slots.release()

    async def _wait_for_news(self, phase: Phase) -> None:
        """Wait a little for a process with the same request that may be dead to return, or to be given up."""
        if self._nobody_listens:
            raise no_more()
        phase.enter("held", lambda waited: f"Looking for an identical earlier request, {waited:.0f} s")
        await self._sleep(_POLL_SECONDS)

    async def _check_day(self, wanted: Generation) -> None:
        """Refuse what the day has no room for, before the person is asked about it."""
        if (cap := self._terms.per_day) is None:
            return
        day = day_of(wanted.created)
        used = await self._ledger.images_since(wanted.caller, day, emulated=wanted.emulated)
        if used + wanted.most > cap:
            full = Full(per_day=True, used=used, until=day + timedelta(days=1))
            raise refuse(full, wanted, self._terms, wanted.created, waited=False) or Internal

    async def _take(
        self, wanted: Generation, terms: Terms | None, send: Callable[[Generation], None]
    ) -> "_Wait | Full | Held | None":
        """A row from the ledger, if there is one to have; `send` is called with a new one.

        One of identical calls at a time: one that was cancelled meanwhile abandons its row before the next
        looks.
        """
        turn = self._turns.setdefault((wanted.caller, wanted.fingerprint), anyio.Lock())
        async with turn, self._taking():
            # Once there is a row there must be a request, or somebody who knows that there is none.
            with anyio.CancelScope(shield=True):
                since = wanted.created - _DOUBTFUL if self._told_of_doubts else None
                begun = await self._ledger.begin(wanted, terms, doubts_since=since)
                if isinstance(begun, Begun) and not begun.claimed:
                    send(begun.generation)
            if not isinstance(begun, Begun):
                return begun
            try:
                await anyio.lowlevel.checkpoint_if_cancelled()
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._ledger.update(begun.generation.id, abandoned=True)
                raise
            return _Wait(begun, self._requests.find(begun.generation.id))

    @asynccontextmanager
    async def _taking(self) -> AsyncIterator[None]:
        """Nothing is taken once the process ends, and its end waits for what is being taken."""
        self._check_not_ending()
        self._takers += 1
        try:
            yield
        finally:
            self._takers -= 1

    async def _wait_for_room(self, full: Full, wanted: Generation, patience: datetime, phase: Phase) -> None:
        """Wait a little for the window of a minute to move on, or for others to settle for less.

        Raises:
            BudgetExceeded: waiting is of no use, or lasted long enough; says when to come back.
        """
        if self._nobody_listens:
            raise no_more()
        now = self._clock()
        if refusal := refuse(full, wanted, self._terms, now, waited=now >= patience):
            raise refusal
        cap = self._terms.per_minute
        phase.enter("room", lambda waited: f"Waiting under the cap of {cap} images a minute, {waited:.0f} s")
        left = (min(full.until, patience) - now).total_seconds()
        await self._sleep(min(max(left, _TICK_SECONDS), _TURN_SECONDS))

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
        if self._nobody_listens:
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
        self._nobody_listens = True
        self._unread = unread
        for wait in list(self._waits):
            await self._ledger.update(wait.generation.id, abandoned=True)

    async def drain(self, seconds: float, hurry: anyio.Event) -> None:
        """Begin nothing more; wait for what is under way, then give it up."""
        self._ending = True
        while self._takers:  # noqa: ASYNC110 - moments; what they begin is under way after them
            await anyio.sleep(_TICK_SECONDS)
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

    def _check_not_ending(self) -> None:
        if self._ending:
            raise no_more()


def _send_nothing(_generation: Generation) -> None:
    """Where no terms are given there is nothing new."""


def _over(generation: Generation) -> bool:
    return generation.status != "pending" and generation.pictures is not None
