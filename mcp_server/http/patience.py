"""Connections on which no request comes: each head has a time in which it must be there."""

import asyncio
from typing import ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Patient(H11Protocol):
    """Uvicorn's protocol, which by itself waits for ever for the first request, and for the rest of any."""

    read_seconds: ClassVar[float]
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait; `transport` is narrowed as uvicorn narrows it."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Go on, or stop, waiting."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Time what is begun and not complete; between requests uvicorn's own timer runs."""
        fresh = cast("object | None", self.cycle) is None
        due = fresh or bool(self.conn.trailing_data[0])
        if self.conn.their_state is not h11.IDLE or not due:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.read_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def patient(seconds: float) -> type[Patient]:
    """The protocol that waits `seconds` for the head of a request."""
    return type("Patient", (Patient,), {"read_seconds": seconds})
