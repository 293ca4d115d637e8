"""What was billed, what is on record, and what the clients got: do they agree?"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio

from benchmarks.load.clients import Intent
from mcp_server.generations.generation import Generation
from mcp_server.generations.stores import open_ledger

_LEASES_SECONDS = 45.0
_MOST = 1_000_000


async def read_rows(store_url: str, names: Iterable[str]) -> list[Generation]:
    """Every row of the callers, once none is pending: the lease of a killed replica must lapse first."""
    ledger = open_ledger(store_url, "audit", lambda: datetime.now(UTC))
    rows: list[Generation] = []
    try:
        with anyio.move_on_after(_LEASES_SECONDS):
            while True:
                rows = [row for name in names for row in await ledger.recent(name, _MOST)]
                if all(row.status != "pending" for row in rows):
                    break
                await anyio.sleep(1.0)
        if ledger.trouble:
            raise RuntimeError(ledger.trouble)
        return rows
    finally:
        await ledger.close()


@dataclass
class Audit:
    """The findings; each list holds prompts, and but for the first two it should be empty."""

    billed: int  # images
    on_record: int  # images of rows that succeeded, and the billed ones of rows that are unknown
    struck: list[str] = field(default_factory=list)  # under way in the killed replica
    struck_and_unknown: list[str] = field(default_factory=list)  # of these, those that were told so
    unrecorded: list[str] = field(default_factory=list)  # billed, and not on record
    unbilled: list[str] = field(default_factory=list)  # succeeded by the record, and never billed
    pending: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)  # billed more than once
    lost: list[str] = field(default_factory=list)  # billed, and its client has no picture and was not told
    open: list[str] = field(default_factory=list)  # intents that came to no end

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        faults = (self.unrecorded, self.unbilled, self.pending, self.twice, self.lost, self.open)
        return self.billed == self.on_record and not any(faults)


def audit(
    billed: Mapping[str, int], rows: Iterable[Generation], intents: Iterable[Intent], killed_at: float
) -> Audit:
    """Compare them, prompt by prompt: each intent has a prompt of its own."""
    succeeded: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    links: defaultdict[str, set[str]] = defaultdict(set)
    found = Audit(sum(billed.values()), 0)
    for row in rows:
        if row.status == "succeeded":
            succeeded[row.prompt] += row.counted
            links[row.prompt].update(row.urls)
        elif row.status == "unknown":
            unknown[row.prompt] += row.counted
        elif row.status == "pending":
            found.pending.append(row.prompt)
    for prompt in {*billed, *succeeded, *unknown}:
        images = billed.get(prompt, 0)
        found.on_record += succeeded[prompt] + min(unknown[prompt], max(0, images - succeeded[prompt]))
        if images > succeeded[prompt] + unknown[prompt]:
            found.unrecorded.append(prompt)
        if images < succeeded[prompt]:
            found.unbilled.append(prompt)
        if images > 1:
            found.twice.append(prompt)
    for intent in intents:
        _check(intent, billed.get(intent.prompt, 0), links[intent.prompt], killed_at, found)
    return found


def _check(intent: Intent, images: int, links: set[str], killed_at: float, found: Audit) -> None:
    """Whether the client of an intent got what was billed for it, or was told that it may have been."""
    if any(call.started < killed_at < call.ended and call.end.startswith("lost") for call in intent.calls):
        found.struck.append(intent.prompt)
        if intent.last != "result":
            found.struck_and_unknown.append(intent.prompt)
    if intent.url:
        if intent.url not in links:
            found.lost.append(intent.prompt)
    elif intent.last.startswith("lost") or intent.last in ("nothing", "rate_limited", "upstream_unavailable"):
        found.open.append(intent.prompt)
    elif links or (images and intent.last not in ("outcome_unknown", "bad_upstream_reply", "internal")):
        found.lost.append(intent.prompt)
