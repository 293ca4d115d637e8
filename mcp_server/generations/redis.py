"""The ledger in Redis or Valkey, for replicas on any number of machines.

What happens in one step stands in `redis.lua`. A process is known to be dead a few seconds after its
connection is gone, and not only when its lease lapses.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Unpack, cast

import anyio
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError

from mcp_server.generations import rows
from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import (
    LEASE,
    MINUTE,
    RECENT_TIMES,
    Begun,
    Changes,
    Full,
    Held,
    LedgerError,
    Terms,
    full,
    usual,
)

VERSION = "1"
"""Of what is stored; another one is not touched."""

GRACE = timedelta(seconds=5)
"""How long a process may be silent before it is doubted, and then before it counts as dead."""

_WAIT_SECONDS = 5.0
_CONNECTIONS = 16
_PRUNED_AT_ONCE = 500
_MOST_DOUBTS = 100
_AGAIN_SECONDS = 1.0
_BEAT_SECONDS = 1.5

logger = logging.getLogger(__name__)


class RedisLedger:
    """A `Ledger` at `url`, whose keys all begin with `prefix`; `process` is this process's id in it.

    `clock` tells the time.

    Raises:
        LedgerError: from any method.
    """

    def __init__(
        self,
        url: str,
        process: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        prefix: str = "{seedream}:",
    ) -> None:
        self._process = process
        self._clock = clock
        self._prefix = prefix
        # Not repeated by the library: what went out and was not answered may have been done.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            socket_timeout=_WAIT_SECONDS,
            socket_connect_timeout=_WAIT_SECONDS,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )
        self.redis = redis.asyncio.Redis.from_pool(pool)
        self._script = self.redis.register_script((files(__package__) / "redis.lua").read_text("utf-8"))
        self._ahead: float | None = None
        self._attending = False
        self._shown = anyio.Event()  # others see that this process lives

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | Held | None:
        """See `Ledger.begin`."""
        if self._attending:  # its death must be noticed from the first row on
            with anyio.move_on_after(_WAIT_SECONDS):
                await self._shown.wait()
        given: dict[str, Any] = {
            "wanted": _columns(rows.to_row(wanted)),
            "lease": await self._shared(wanted.created + LEASE),
            "minute": str((wanted.created - MINUTE).timestamp()),
        }
        if terms:
            caps = {"per_minute": terms.per_minute, "per_day": terms.per_day}
            given["terms"] = {name: cap for name, cap in caps.items() if cap is not None}
        if doubts_since:
            given["doubts_since"] = str(doubts_since.timestamp())
        kind, *said = await self._run("begin", **given)
        if kind == "held":
            return Held()
        if kind == "none":
            return None
        if kind == "full":
            today, window = said
            times = [(rows.moment(float(at)), int(count)) for at, count in _pairs(window)]
            return full(today, times, wanted, terms or Terms())
        times, found = said
        usual_seconds = usual([float(seconds) for seconds in times])
        if kind == "claimed":
            return Begun(_generation(found), claimed=True, usual_seconds=usual_seconds)
        return Begun(wanted, in_doubt=tuple(_readable(found)), usual_seconds=usual_seconds)

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        """See `Ledger.update`."""
        await self._run("update", ids=generation_ids, changes=_columns(rows.to_columns(changes)))

    async def put(self, generation: Generation) -> None:
        """See `Ledger.put`."""
        await self._run("put", row=_columns(rows.to_row(generation)))

    async def renew(self, process: str, until: datetime) -> None:
        """See `Ledger.renew`."""
        await self._run("renew", process=process, lease=await self._shared(until))

    async def get(self, caller: str, generation_id: str) -> Generation | None:
        """See `Ledger.get`."""
        return next(_readable(await self._run("get", caller=caller, id=generation_id)), None)

    async def recent(self, caller: str, most: int, *, before: Generation | None = None) -> list[Generation]:
        """See `Ledger.recent`."""
        than = {"created": str(before.created.timestamp()), "before": before.id} if before else {}
        return list(_readable(await self._run("recent", caller=caller, most=most, **than)))

    async def with_link(self, caller: str, url: str) -> Generation | None:
        """See `Ledger.with_link`."""
        return next(_readable(await self._run("with_link", caller=caller, url=url)), None)

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        """See `Ledger.images_since`."""
        emulation = _columns({"emulated": emulated})
        return int(
            await self._run("images_since", caller=caller, since=str(since.timestamp()), **emulation) or 0
        )

    async def prune(self, before: datetime) -> None:
        """See `Ledger.prune`."""
        given = {"before": str(before.timestamp()), "most": _PRUNED_AT_ONCE}
        while await self._run("prune", **given) == _PRUNED_AT_ONCE:
            pass

    async def check(self) -> None:
        """See `Ledger.check`."""
        await self._shared(self._clock())
        await self._guarded(self.redis.ping())

    async def attend(self) -> None:
        """See `Ledger.attend`."""
        self._attending = True
        while True:
            try:
                async with self.redis.pubsub() as connection:
                    await connection.subscribe(f"{self._prefix}process:{self._process}")
                    await self._stay_connected(connection)
            except (LedgerError, RedisError, OSError) as error:
                logger.debug("the connection to the ledger is lost: %s", type(error).__name__)
            self._shown.set()  # or it can't be, now: nobody waits for that
            await anyio.sleep(_AGAIN_SECONDS)

    async def _stay_connected(self, connection: redis.asyncio.client.PubSub) -> None:
        """Until the connection is lost, which only shows when it is spoken over."""
        answered = True
        while True:
            message = await connection.get_message(timeout=_BEAT_SECONDS)
            answered = answered or bool(message and message["type"] == "pong")
            if message is None or message["type"] == "subscribe":
                if not answered:
                    return
                await self._guarded(self._measure())  # clocks may be set, meanwhile
                lease = await self._shared(self._clock() + LEASE)
                await self._run("watch", process=self._process, lease=lease)
                self._shown.set()
                await connection.ping()
                answered = False

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()

    async def _run(self, operation: str, **given: Any) -> Any:
        now = self._clock()
        given |= {
            "now": str(now.timestamp()),
            "time": await self._shared(now),
            "grace": GRACE.total_seconds(),
            "spoken": (LEASE - GRACE).total_seconds(),
            "times": RECENT_TIMES,
            "doubts": _MOST_DOUBTS,
        }
        arguments = [operation, json.dumps(given, ensure_ascii=False)]
        return await self._guarded(self._script(keys=[self._prefix], args=arguments))

    async def _guarded(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except (RedisError, OSError) as error:
            if isinstance(error, ReadOnlyError):  # no master any more: by now its name may lead to another
                await self.redis.connection_pool.disconnect(inuse_connections=False)
            raise LedgerError(_reason(error)) from error

    async def _shared(self, moment: datetime) -> str:
        """`moment` by the server's clock: leases must not depend on whose clock is right."""
        if self._ahead is None:
            stored = await self._guarded(self._first_words())
            if stored != VERSION:
                raise LedgerError("it was written by another version of this server")
        return str(moment.timestamp() + cast("float", self._ahead))

    async def _first_words(self) -> str:
        key = f"{self._prefix}version"
        await self.redis.set(key, VERSION, nx=True)
        stored = str(await self.redis.get(key))
        if stored == VERSION:
            await self._measure()
        return stored

    async def _measure(self) -> None:
        seconds, micros = await self.redis.time()
        self._ahead = seconds + micros / 1e6 - self._clock().timestamp()


def _columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Text by column; None is left out."""
    return {
        name: str(int(value) if isinstance(value, bool) else value)
        for name, value in row.items()
        if value is not None
    }


_NUMBERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("created", "ended"), float),
    **dict.fromkeys(("emulated", "most", "counted", "unusable", "abandoned", "delivered"), int),
}
_ABSENT = dict.fromkeys(("ended", "pictures", "failure"))


def _generation(flat: list[str]) -> Generation:
    row = {name: _NUMBERS.get(name, str)(value) for name, value in _pairs(flat)}
    return rows.from_row(_ABSENT | row)


def _readable(found: Iterable[list[str]]) -> Iterator[Generation]:
    for flat in found:
        try:
            yield _generation(flat)
        except ValueError as error:  # one damaged row must not hide the others
            logger.warning("left out of the ledger: %s", error)


def _pairs(flat: list[str]) -> Iterator[tuple[str, str]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _reason(error: Exception) -> str:
    """What went wrong, in a few words that hold no data."""
    said = str(error).partition(" script:")[0]
    return said.splitlines()[0][:200] if said else type(error).__name__
