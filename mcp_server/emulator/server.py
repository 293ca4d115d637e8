"""Running the emulator: in this process for SEEDREAM_EMULATOR=1, or as a program of its own."""

import asyncio
from collections.abc import Sequence

import anyio
import anyio.abc
import uvicorn
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcp_server.emulator.app import EmulatorApp
from mcp_server.emulator.contract import MODELS, Model
from mcp_server.emulator.faults import Fault
from mcp_server.sockets import listen
from mcp_server.web import QuietServer

API_KEY = "emulator"
"""The key that the server uses towards its own embedded emulator."""

_LOOPBACK = "127.0.0.1"
_GRACEFUL_SECONDS = 2


class Emulator:
    """One emulator on a port of the loopback interface; port 0 takes a free one."""

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        latency: float = 0.0,
        link_seconds: float = 86_400.0,
        faults: Sequence[Fault] = (),
        models: Sequence[Model] = MODELS,
    ) -> None:
        self._connections: dict[tuple[str, int], asyncio.Transport] = {}
        self.app = EmulatorApp(
            abort=self._abort,
            api_key=api_key,
            latency=latency,
            link_seconds=link_seconds,
            faults=tuple(faults),
            models=models,
        )
        # Bound here, so that the address is known, and a port in use is an error, before it serves.
        self._socket = listen(_LOOPBACK, port)
        self.url = f"http://{_LOOPBACK}:{self._socket.getsockname()[1]}"

    async def serve(self, *, task_status: anyio.abc.TaskStatus[str] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, leaving the process's signals alone; the status is the URL."""
        server = QuietServer(self._config())
        serving = asyncio.ensure_future(server.serve(sockets=[self._socket]))
        task_status.started(self.url)
        try:
            await asyncio.shield(serving)
        finally:
            # Asked to stop rather than cancelled: uvicorn closes its connections only then.
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await serving

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        uvicorn.Server(self._config()).run(sockets=[self._socket])

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.app.asgi,
            http=_protocol(self._connections),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
            timeout_keep_alive=60,
        )

    async def _abort(self, request: Request) -> None:
        client = request.client
        transport = self._connections.get((client.host, client.port)) if client else None
        if transport is not None:  # pragma: no branch - gone already if the client was quicker
            transport.abort()
        while (await request.receive())["type"] != "http.disconnect":
            pass


def _protocol(connections: dict[tuple[str, int], asyncio.Transport]) -> type[H11Protocol]:
    """Uvicorn's protocol that also notes its connections: ASGI has no word for dropping one."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            # narrowed as uvicorn narrows it
            super().connection_made(transport)
            connections[transport.get_extra_info("peername")[:2]] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self.transport.get_extra_info("peername")[:2], None)
            super().connection_lost(exc)

    return Protocol


def run(
    *,
    port: int,
    api_key: str | None,
    latency: float,
    link_seconds: float,
    faults: Sequence[Fault],
) -> int:
    """The program `mcp-server-seedream emulator`. Returns the exit code."""
    emulator = Emulator(port=port, api_key=api_key, latency=latency, link_seconds=link_seconds, faults=faults)
    # The line that a person or a script waits for; this program's stdout carries no protocol.
    print(f"Seedream emulator on {emulator.url}", flush=True)
    emulator.run()
    return 0  # pragma: no cover - uvicorn ends the process by the signal that stopped it
