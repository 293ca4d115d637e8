"""Connections to the API, pooled in lots.

A pool of httpx looks at each of its connections and waiting requests at each request and reply: with hundreds
under way at once that took most of the time that a call costs here.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

LOT = 24
"""Requests at once in a lot."""


@dataclass(eq=False, slots=True)
class _Lot:
    http: httpx.AsyncClient
    busy: int = 0


class Pool:
    """As many httpx clients of `make` as the requests under way need. The first is there at once.

    Raises:
        OSError, ImportError, ValueError, httpx.InvalidURL: what `make` does.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient], lot: int = LOT) -> None:
        self._make = make
        self._lot = lot
        self._lots = [_Lot(make())]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one request: the first with room, so that connections are used again."""
        lot = next((lot for lot in self._lots if lot.busy < self._lot), None)
        if lot is None:
            lot = _Lot(self._make())
            self._lots.append(lot)
        lot.busy += 1
        try:
            yield lot.http
        finally:
            lot.busy -= 1

    async def aclose(self) -> None:
        """Close all connections."""
        for lot in self._lots:
            await lot.http.aclose()
