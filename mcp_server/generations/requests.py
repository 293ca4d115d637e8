"""The requests under way in this process. They belong to it, and not to the calls that wait for them."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from mcp_server import telemetry
from mcp_server.errors import Internal, OutcomeUnknown, SeedreamError, describe
from mcp_server.generations.generation import Failure, Generation
from mcp_server.generations.ledger import Changes, Ledger
from mcp_server.references import References

if TYPE_CHECKING:
    from mcp_server.client.replies import Reply

logger = logging.getLogger(__name__)

Post = Callable[[Mapping[str, Any], int], Awaitable["Reply"]]
"""Sends a body of which at most so many images are due."""

Save = Callable[[Generation], Awaitable[tuple[Generation, list[str]]]]
"""Saves what is to be saved; the generation with its pictures, and warnings."""


@dataclass
class Request:
    """One request under way, and its outcome once `over` is set."""

    generation: Generation
    warnings: list[str] = field(default_factory=list)
    over: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Requests:
    """Sends requests, records what becomes of them, and lets nobody's end but the process's stop them."""

    def __init__(
        self,
        ledger: Ledger,
        tasks: anyio.abc.TaskGroup,
        clock: Callable[[], datetime],
        save: Save | None,
    ) -> None:
        self._ledger = ledger
        self._tasks = tasks
        self._clock = clock
        self._save = save
        self._under_way: dict[str, Request] = {}

    def send(
        self,
        generation: Generation,
        body: Mapping[str, Any],
        references: References,
        post: Post,
        sent: Callable[[], None],
    ) -> None:
        """Start the request of a row that was begun; `sent` is called when the API has answered it."""
        request = self._under_way[generation.id] = Request(generation)
        files = ExitStack()
        files.enter_context(references)  # here, before the call can let go of them
        self._tasks.start_soon(self._run, request, body, files, post, sent)

    def find(self, generation_id: str) -> Request | None:
        """The request of this id, if it is under way in this process."""
        return self._under_way.get(generation_id)

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    async def drain(self, seconds: float, hurry: anyio.Event) -> None:
        """Wait for the requests under way, at most so long or until `hurry`, then give up the rest."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:

                async def stop() -> None:
                    await hurry.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(stop)
                while self._under_way:
                    await next(iter(self._under_way.values())).over.wait()
                tasks.cancel_scope.cancel()
        for request in list(self._under_way.values()):
            request.scope.cancel()
            await request.over.wait()

    async def _run(
        self,
        request: Request,
        body: Mapping[str, Any],
        files: ExitStack,
        post: Post,
        sent: Callable[[], None],
    ) -> None:
        outcome: Changes | None = None
        with request.scope:
            try:
                with files, telemetry.posting(request.generation) as count:
                    outcome = _success(await post(body, request.generation.most))
                    count(outcome["counted"])
            except SeedreamError as error:
                outcome = _failure(error, request.generation)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the other requests
                logger.error("%s", describe(error))  # noqa: TRY400 - a traceback may hold data
                outcome = _failure(Internal(), request.generation)
            finally:
                sent()
        # Nothing may come between an outcome and its record.
        try:
            await self._finish(request, outcome or _failure(_ENDED, request.generation))
        except Exception as error:  # noqa: BLE001 - as above; those who wait get what is known
            logger.error("%s", describe(error))  # noqa: TRY400
        finally:
            del self._under_way[request.generation.id]
            request.over.set()

    async def _finish(self, request: Request, changes: Changes) -> None:
        """Record the outcome, then save the pictures."""
        changes["ended"] = self._clock()
        if self._save is None or changes["status"] != "succeeded":
            changes["pictures"] = {}
        request.generation = replace(request.generation, **changes)
        with anyio.CancelScope(shield=True):
            await self._ledger.update(request.generation.id, **changes)
        if self._save and request.generation.pictures is None:
            with request.scope:
                request.generation, request.warnings = await self._save(request.generation)


_ENDED = OutcomeUnknown(
    "This server was told to end before the API had answered",
    "do not repeat the call by yourself: it may be billed a second time. Tell the person, who can look at "
    "the account's usage page and decide",
)


def _success(reply: "Reply") -> Changes:
    return {
        "status": "succeeded",
        "urls": reply.urls,
        "unusable": reply.unusable,
        "counted": len(reply.urls) + reply.unusable,
    }


def _failure(error: SeedreamError, generation: Generation) -> Changes:
    return {
        "status": "failed" if error.billed == "no" else "unknown",
        "counted": 0 if error.billed == "no" else generation.most,
        "failure": Failure(error.code, error.problem, error.remedy, error.who),
    }
