"""What replicas behind one address share beside the ledger: a key, and messages to one another, by Redis."""

import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import anyio
import redis.asyncio
from mcp.server.request_state import AESGCMRequestStateCodec
from redis.exceptions import RedisError

from mcp_server.errors import describe

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 4
"""For an answer, at a time: the library gives up a connection that is silent for 5 s."""

_WAITS = 5
_KEPT_SECONDS = 60
_CLOSED_SECONDS = 24 * 3600
_AGAIN_SECONDS = 1.0

Facts = dict[str, Any]


class Mail(NamedTuple):
    """A message: what it is about, and the body of a request."""

    facts: Facts
    body: bytes


class SharedKey:
    """Seals what clients bring back, for any replica to open. A `RequestStateCodec`.

    Until the shared key is known, one of this process's own serves.
    """

    def __init__(self) -> None:
        self._own = os.urandom(32)
        self._codec = AESGCMRequestStateCodec([self._own])

    def share(self, key: bytes) -> None:
        """Seal with `key` from now on."""
        self._codec = AESGCMRequestStateCodec([key, self._own])

    def seal(self, payload: bytes) -> str:
        """An opaque text, safe in URLs and headers."""
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        """What was sealed.

        Raises:
            InvalidRequestState: no replica has sealed it.
        """
        return self._codec.unseal(token)


class Replicas:
    """The others, at the Redis at `url`. This one is `id` to them, for as long as `run` runs."""

    def __init__(self, url: str, prefix: str = "{seedream}:") -> None:
        self.id = secrets.token_hex(4)
        self.key = SharedKey()
        self._prefix = prefix
        self._redis: redis.asyncio.Redis = redis.asyncio.Redis.from_url(url)

    async def run(
        self,
        deliver: Callable[[Mail], Awaitable[Facts | None]],
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Hand what comes to `deliver`, and its answer back to who sent it. Begins once the key is known."""
        started, lost = False, ""
        async with anyio.create_task_group() as tasks:
            while True:
                try:
                    await self._learn_key()
                    async with self._redis.pubsub(ignore_subscribe_messages=True) as box:
                        await box.subscribe(f"{self._prefix}replica:{self.id}", f"{self._prefix}replicas")
                        if not started:
                            task_status.started()
                        started, lost = True, ""
                        async for message in box.listen():
                            tasks.start_soon(self._take, message["data"], deliver)
                except (RedisError, OSError) as error:
                    why = _reason(error)
                    level = logging.DEBUG if why == lost else logging.WARNING  # once, and not each second
                    logger.log(level, "the store of SEEDREAM_STORE_URL can't be used: %s", why)
                    lost = why
                if not started:  # it serves all the same, and is not ready
                    task_status.started()
                started = True
                await anyio.sleep(_AGAIN_SECONDS)

    async def send(self, replica: str, mail: Mail) -> Facts | None:
        """What the replica answers; None where it is not there, or does not answer."""
        name = secrets.token_hex(8)
        box, answer = f"{self._prefix}mail:{name}", f"{self._prefix}answer:{name}"
        try:
            await self._redis.set(box, mail.body, ex=_KEPT_SECONDS)
            heard = await self._redis.publish(
                f"{self._prefix}replica:{replica}", json.dumps({**mail.facts, "mail": name})
            )
            found = await self._wait_for(answer) if heard else None
            await self._redis.delete(box)
        except (RedisError, OSError) as error:
            logger.warning("another replica can't be reached: %s", type(error).__name__)
            return {"status": 503, "text": "The store can't be reached now; send this again"}
        return dict(json.loads(found[1])) if found else None

    async def _wait_for(self, answer: str) -> Any:
        found, waits = None, 0
        while not found and waits < _WAITS:
            found, waits = await self._redis.blpop([answer], timeout=_WAIT_SECONDS), waits + 1
        return found

    async def tell_all(self, mail: Mail) -> None:
        """Send to every other replica, of which none answers."""
        facts = {**mail.facts, "from": self.id, "body": mail.body.decode()}
        try:
            await self._redis.publish(f"{self._prefix}replicas", json.dumps(facts))
        except (RedisError, OSError) as error:
            logger.warning("the other replicas can't be reached: %s", type(error).__name__)

    async def close_session(self, session: str) -> None:
        """Let no replica open a session again, and let all forget it."""
        try:
            await self._redis.set(f"{self._prefix}closed:{session}", 1, ex=_CLOSED_SECONDS)
        except (RedisError, OSError) as error:
            logger.warning("a session stays open: %s", type(error).__name__)
        await self.tell_all(Mail({"session": session, "closed": True}, b""))

    async def is_closed(self, session: str) -> bool:
        """Whether a client has closed a session. No, where that can't be told."""
        try:
            return bool(await self._redis.exists(f"{self._prefix}closed:{session}"))
        except (RedisError, OSError):
            return False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _take(self, data: bytes, deliver: Callable[[Mail], Awaitable[Facts | None]]) -> None:
        try:
            facts = json.loads(data)
            if facts.get("from") != self.id:
                await self._answer(facts, deliver)
        except (RedisError, OSError) as error:
            logger.warning("a message of another replica is lost: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - another version's, or whatever: it must not end this process
            logger.error("a message of another replica: %s", describe(error))  # noqa: TRY400 - may hold data

    async def _answer(self, facts: Facts, deliver: Callable[[Mail], Awaitable[Facts | None]]) -> None:
        if name := facts.get("mail"):
            stored = cast("bytes | None", await self._redis.getdel(f"{self._prefix}mail:{name}"))
            answer = await deliver(Mail(facts, stored or b""))
            where = f"{self._prefix}answer:{name}"
            await self._redis.rpush(where, json.dumps(answer))
            await self._redis.expire(where, _KEPT_SECONDS)
        else:
            await deliver(Mail(facts, facts["body"].encode()))

    async def _learn_key(self) -> None:
        """The first replica makes the key."""
        where, fresh = f"{self._prefix}key", secrets.token_hex(32)
        await self._redis.set(where, fresh, nx=True)
        self.key.share(cast("bytes", await self._redis.get(where) or fresh.encode()))


def _reason(error: Exception) -> str:
    """What went wrong, in a few words; they name the server, and no password."""
    return str(error).partition("\n")[0][:200] or type(error).__name__
