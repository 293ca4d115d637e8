"""What the load test prints."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import quantiles

from benchmarks.load.audit import Audit
from benchmarks.load.clients import Intent
from benchmarks.load.world import World
from mcp_server.generations.generation import Generation

_SHOWN = 3
_FULL = 0.85


def calls(intents: Sequence[Intent], seconds: float, latency: float, clients: int) -> None:
    """What the clients saw."""
    made = [call for intent in intents for call in intent.calls]
    ends = Counter(call.end for call in made)
    print(f"{clients} clients: {_kinds(intents)}")
    print(f"calls: {len(made):,} in {seconds:.1f} s, {len(made) / seconds:.1f} a second")
    print(f"results: {ends.pop('result', 0):,}, recovered ones {sum(one.recovered for one in intents)}")
    print("errors by code, and calls lost on the way (which are repeated):")
    for end, count in sorted(ends.items()):
        print(f"  {end}: {count}")
    for title, chosen in (
        ("all that were not repeated", intents),
        *((f"of these, {kind}", [one for one in intents if one.client == kind]) for kind in KINDS),
    ):
        over = [
            one.calls[0].ended - one.calls[0].started - latency
            for one in chosen
            if len(one.calls) == 1 and one.url
        ]
        if len(over) > 1:
            cuts = quantiles(over, n=100)
            print(
                f"over the upstream's {latency:g} s, {title}: p50 {cuts[49] * 1000:.0f} ms, "
                f"p95 {cuts[94] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms"
            )


KINDS = {
    "lean": "raw JSON-RPC over httpx, era 2026-07-28",
    "sdk": "the SDK's client, era 2026-07-28",
    "legacy": "the SDK's client, sessions of the era before",
}


def _kinds(intents: Iterable[Intent]) -> str:
    names = {(one.client, one.prompt.rpartition(" ")[0]) for one in intents}
    found = Counter(kind for kind, _ in names)
    return "; ".join(f"{found[kind]} x {what}" for kind, what in KINDS.items() if found[kind])


def processes(replicas: Iterable[str], world: World) -> None:
    """What the processes took."""
    print("replicas:", *replicas, sep="\n")
    for other in filter(None, (world.nginx, world.store, world.upstream)):
        print(f"{other.name}: {other.memory():.0f} MB, {other.cpu_seconds():.1f} s of CPU")


def machine(busy: float) -> None:
    """How much of it was busy, with whatever else runs here."""
    processors = os.cpu_count() or 1
    print(f"the machine: {busy:.2f} of {processors} processors busy on the average, clients included")
    if busy > _FULL * processors:
        print("  it was full: the times above are those of waiting for a processor")


def findings(found: Audit, requests: int, rows: Iterable[Generation]) -> None:
    """The audit."""
    statuses = Counter(row.status for row in rows)
    print(f"the ledger: {', '.join(f'{count:,} {status}' for status, count in sorted(statuses.items()))}")
    print(f"the upstream: {requests:,} requests")
    print(f"audit: images billed {found.billed:,}, known to the ledger {found.on_record:,}")
    print(
        f"  calls under way in the killed replica: {len(found.struck)}; "
        f"of these intents {len(found.struck_and_unknown)} ended without a picture"
    )
    for what, prompts in (
        ("images billed that the ledger does not know", found.unrecorded),
        ("successes on record that were never billed", found.unbilled),
        ("rows still pending", found.pending),
        ("images billed twice for one intent", found.twice),
        ("of these, not under way in the killed replica", sorted({*found.twice} - {*found.struck})),
        ("results lost", found.lost),
        ("intents without an end", found.open),
    ):
        print(f"  {what}: {len(prompts)}{_some(prompts)}")
    print("the audit holds" if found.holds else "THE AUDIT FAILS")


def _some(prompts: Sequence[str]) -> str:
    return f" ({', '.join(prompts[:_SHOWN])}{', …' if len(prompts) > _SHOWN else ''})" if prompts else ""
