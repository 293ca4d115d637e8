"""Work for a store, done in a thread: what comes while one lot is at work goes together as the next.

A transaction that is synced to the disk takes milliseconds, whatever it holds: hundreds of calls at once
would wait a second for theirs, one behind the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

Work = TypeVar("Work")


@dataclass(eq=False, slots=True)
class Job(Generic[Work]):
    """One piece of work, and what came of it once it is `taken` and done."""

    work: Work
    taken: bool = False
    result: Any = None
    error: Exception | None = None


class Batches(Generic[Work]):
    """Hands work to `do`, one lot at a time, in a thread; it gives each job a result or an error."""

    def __init__(self, do: Callable[[list[Job[Work]]], None]) -> None:
        self._do = do
        self._waiting: list[Job[Work]] = []
        self._turn = anyio.Lock()
        self._thread = CapacityLimiter(1)

    async def run(self, work: Work) -> Any:
        """The result of `work`, which is dropped if this is cancelled before it has begun.

        Raises:
            Exception: what `do` gave the job as its error.
        """
        job = Job(work)
        self._waiting.append(job)
        try:
            async with self._turn:
                if not job.taken:
                    # What is taken is others' work, too: it must be done whatever becomes of this one.
                    with anyio.CancelScope(shield=True):
                        await to_thread.run_sync(self._do, self._take(), limiter=self._thread)
        finally:
            if not job.taken:
                self._waiting.remove(job)
        if job.error:
            raise job.error
        return job.result

    async def alone(self, work: Callable[[], None]) -> None:
        """Do `work` in the thread, while nothing else is at work."""
        async with self._turn:
            await to_thread.run_sync(work, limiter=self._thread)

    def _take(self) -> list[Job[Work]]:
        jobs, self._waiting = self._waiting, []
        for job in jobs:
            job.taken = True
        return jobs
