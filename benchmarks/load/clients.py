"""A process of clients. Each has one intent after the other: a picture of a prompt that is like no other.

A call that is lost, or that the server says was not billed, is repeated to the letter until the intent has
a picture, or a failure that may have been billed: those are for a person, and are never repeated.
"""

import asyncio
import json
import random
import re
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load.callers import MODERN, Caller, Full, Lean, Lost

GRACE = 60.0
"""Seconds that intents have to end once no new ones begin."""


@dataclass
class Call:
    """One call: times of the system's monotonic clock, and the error's code, or how it was lost."""

    started: float
    ended: float
    end: str  # "result" where there is one


@dataclass
class Intent:
    """What a client wants, and what came of it."""

    prompt: str
    caller: str
    client: str
    calls: list[Call] = field(default_factory=list)
    url: str | None = None
    recovered: bool = False

    @property
    def last(self) -> str:
        """How its last call ended."""
        return self.calls[-1].end if self.calls else "nothing"


async def _fulfil(intent: Intent, client: Caller, until: float) -> None:
    while time.monotonic() < until + GRACE:
        started = time.monotonic()
        try:
            await client.open()
            started = time.monotonic()
            result = await client.call(intent.prompt)
        except Lost as lost:
            intent.calls.append(Call(started, time.monotonic(), f"lost: {lost}"))
        else:
            final = _read(result, intent, started)
            if final:
                return
        await asyncio.sleep(random.uniform(0.2, 0.8))  # noqa: S311 - so that not all come back at once


def _read(result: dict[str, Any], intent: Intent, started: float) -> bool:
    """Note what a result says; whether it is the last word."""
    text = result["content"][0]["text"]
    if not result.get("isError"):
        structured = result["structuredContent"]
        intent.url = structured["images"][0]["url"]
        intent.recovered = structured["recovered"]
        intent.calls.append(Call(started, time.monotonic(), "result"))
        return True
    code = re.match(r"\[(\w+)\]", text)
    intent.calls.append(Call(started, time.monotonic(), code[1] if code else "no code"))
    return "Billed: no" not in text


async def _client(name: str, caller: str, client: Caller, until: float, done: list[Intent]) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        intent = Intent(f"load {name} {number}", caller, name.split(maxsplit=1)[0])
        await _fulfil(intent, client, until)
        done.append(intent)
    await client.close()


async def _run(orders: dict[str, Any]) -> list[Intent]:
    """`orders`: url, until, tokens by caller, names of clients by kind."""
    done: list[Intent] = []
    callers = list(orders["tokens"].items())
    context, tasks = ssl.create_default_context(), []
    for kind, names in orders["clients"].items():
        for name in names:
            caller, token = callers[name % len(callers)]
            client: Caller = Lean(orders["url"], token, context)
            if kind != "lean":
                client = Full(orders["url"], token, MODERN if kind == "sdk" else "legacy")
            tasks.append(_client(f"{kind} {name}", caller, client, orders["until"], done))
    await asyncio.gather(*tasks)
    return done


def main() -> None:
    """Read orders from the one file named, and write the intents to the other."""
    orders, results = map(Path, sys.argv[1:])
    done = asyncio.run(_run(json.loads(orders.read_text("utf-8"))))
    results.write_text("".join(json.dumps(asdict(intent)) + "\n" for intent in done), "utf-8")


def read(results: Path) -> list[Intent]:
    """The intents that such a process has written."""
    intents = [Intent(**json.loads(line)) for line in results.read_text("utf-8").splitlines()]
    for intent in intents:
        intent.calls = [Call(**call) for call in intent.calls]  # type: ignore[arg-type]  # objects of JSON
    return intents


if __name__ == "__main__":
    main()
