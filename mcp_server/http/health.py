"""`/healthz` and `/readyz`: whether the process lives, and whether it should get calls."""

import time
from collections.abc import Callable

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_server.generations import Generations
from mcp_server.generations.ledger import LedgerError

_STORE_SECONDS = 3.0
_REMEMBERED_SECONDS = 1.0


class Health:
    """The two endpoints. They need no token, so they tell little, and ask the store at most once a second."""

    def __init__(self, generations: Generations, ending: Callable[[], bool]) -> None:
        self._generations = generations
        self._ending = ending
        self._asking = anyio.Lock()
        self._asked = float("-inf")
        self._store_ok = False

    def routes(self) -> list[Route]:
        """Where they are."""
        return [Route("/healthz", self._alive), Route("/readyz", self._ready)]

    async def _alive(self, _request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _request: Request) -> JSONResponse:
        settings = self._generations.settings
        has_key = settings.emulator or settings.api_key is not None or settings.caller_keys
        checks = {"store": await self._store(), "key": has_key, "running": not self._ending()}
        ready = all(checks.values())
        return JSONResponse({"status": "ready" if ready else "not ready", **checks}, 200 if ready else 503)

    async def _store(self) -> bool:
        async with self._asking:
            if time.monotonic() - self._asked > _REMEMBERED_SECONDS:
                self._store_ok = False
                with anyio.move_on_after(_STORE_SECONDS):
                    try:
                        await self._generations.ledger.check()
                        self._store_ok = True
                    except LedgerError:
                        pass
                self._asked = time.monotonic()
            return self._store_ok
