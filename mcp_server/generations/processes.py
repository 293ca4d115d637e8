"""Which processes live: each holds a lock on a file of its own, which the system lets go of at any end.

So the rows of a killed process are known for what they are at once, and not only when its lease lapses.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout


class Processes:
    """The lock files in `folder`; `process` is this process's id."""

    def __init__(self, folder: Path, process: str) -> None:
        self._folder = folder
        self._process = process
        self._own: FileLock | None = None

    @contextlib.contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Keep the others out of such a block.

        Raises:
            OSError: the folder can't be written to, or another did not leave its block for so long.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lock = self._lock("opening")
        try:
            lock.acquire(timeout=seconds, blocking=True, poll_interval=0.01)
        except NotImplementedError:  # pragma: no cover - no locks on this file system
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def enter(self) -> None:
        """Take this process's lock; in a block of `alone`."""
        self._own = self._lock(self._process)
        with contextlib.suppress(NotImplementedError):  # no locks on this file system: the lease must do
            self._own.acquire()

    def leave(self) -> None:
        """Let go of this process's lock."""
        if self._own:
            self._own.release()
            self._own = None
            self.forget(self._process)

    def is_dead(self, process: str) -> bool | None:
        """Whether the process has ended; None where that can't be told, and its lease must tell."""
        if process == self._process:
            return False
        if not process.isalnum() or not self._file(process).exists():
            return None
        lock = self._lock(process)
        try:
            lock.acquire()
        except Timeout:
            return False
        except (OSError, NotImplementedError):  # pragma: no cover - a file system without locks
            return None
        lock.release()
        return True

    def forget(self, process: str) -> None:
        """Remove the file of a process that has ended."""
        with contextlib.suppress(OSError):
            self._file(process).unlink(missing_ok=True)

    def _file(self, process: str) -> Path:
        return self._folder / f"{process}.lock"

    def _lock(self, process: str) -> FileLock:
        # Never a lock by mere existence: it would outlive its process.
        # And not a thread's own: threads come and go.
        return FileLock(
            self._file(process), blocking=False, mode=0o600, thread_local=False, fallback_to_soft=False
        )
