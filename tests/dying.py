"""A server that kills itself, with SIGKILL, at the n-th step of a call: `python -m tests.dying URL FOLDER`.

For each n a fresh ledger, a process that dies there, and then another that makes the same call. One line
of JSON for each, until a call comes through alive. Forks, so that the imports are paid for once.
"""

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Unpack

import anyio
import httpx
from mcp import Client

from mcp_server.environment import read_settings
from mcp_server.generations import Generation, Generations
from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.ledger import Begun, Changes, Full, Held, Ledger, Terms
from mcp_server.generations.sqlite import SqliteLedger
from mcp_server.pictures import collect as _imported_once  # noqa: F401 - before the first fork
from mcp_server.server import SeedreamServer

Result = TypeVar("Result")


class Fate:
    """Counts steps, and ends the process at the one that is its last."""

    def __init__(self, last: int, notes: Path) -> None:
        self._left = last
        self._notes = notes

    def step(self, name: str) -> None:
        self._left -= 1
        if self._left == 0:
            self._notes.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, name: str, work: Callable[[], Awaitable[Result]]) -> Result:
        self.step(f"before {name}")
        result = await work()
        self.step(f"after {name}")
        return result


class DyingLedger:
    """A ledger each of whose writes is two steps."""

    def __init__(self, ledger: Ledger, fate: Fate) -> None:
        self._ledger = ledger
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | Held | None:
        return await self._fate.around(
            "begin", lambda: self._ledger.begin(wanted, terms, doubts_since=doubts_since)
        )

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        name = f"update {'+'.join(changes)}"
        await self._fate.around(name, lambda: self._ledger.update(*generation_ids, **changes))

    async def renew(self, process: str, until: datetime) -> None:
        await self._fate.around("renew", lambda: self._ledger.renew(process, until))


class DyingTransport(httpx.AsyncHTTPTransport):
    """A network each of whose requests is two steps."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        work = super().handle_async_request
        return await self._fate.around(request.method, lambda: work(request))


async def one_call(variables: dict[str, str], prompt: str, fate: Fate | None) -> dict[str, Any]:
    settings = read_settings(variables)
    options: dict[str, Any] = {}
    if fate:
        process = os.urandom(8).hex()
        store = SqliteLedger(Path(variables["SEEDREAM_STORE_URL"].removeprefix("sqlite://")), process)
        options = {
            "transport": DyingTransport(fate),
            "ledger": FallbackLedger(DyingLedger(store, fate), "x"),
            "process": process,
        }
    async with Generations(settings, **options) as service:
        async with Client(SeedreamServer(service)) as client:
            before = await client.call_tool("list_images", {})
            result = await client.call_tool("generate_image", {"prompt": prompt})
            if fate:
                fate.step("after the result")
            return {
                "before": before.structured_content["generations"],
                "result": result.structured_content,
            }


def forked(work: Callable[[], None]) -> int:
    """The exit status of a forked process that does `work`."""
    if (child := os.fork()) == 0:
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main(url: str, folder: Path) -> None:
    for last in range(1, 100):
        here = folder / str(last)
        here.mkdir()
        prompt = f"point {last}"
        variables = {
            "NOVITA_API_KEY": "k",
            "NOVITA_BASE_URL": url,
            "SEEDREAM_STORE_URL": f"sqlite://{here / 'ledger.db'}",
            "SEEDREAM_SAVE_DIR": str(here / "saved"),
        }

        def first(variables: dict[str, str] = variables, last: int = last, here: Path = here) -> None:
            anyio.run(one_call, variables, f"point {last}", Fate(last, here / "point"))

        def second(variables: dict[str, str] = variables, prompt: str = prompt, here: Path = here) -> None:
            (here / "result").write_text(json.dumps(anyio.run(one_call, variables, prompt, None)))

        if forked(first) == 0:
            return
        if forked(second):
            sys.exit(f"the second call failed at point {last}")
        saved = [path.name for path in (here / "saved").iterdir()]
        point = {"prompt": prompt, "point": (here / "point").read_text(), "saved": saved}
        report = point | json.loads((here / "result").read_text())
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
