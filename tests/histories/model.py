"""What must be true once a world has come to its end."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator

from mcp_server.emulator.store import Record
from tests.histories.driver import Call, Server
from tests.histories.figures import Figures
from tests.histories.world import World

ERRORS = ("outcome_unknown", "bad_upstream_reply", "rate_limited", "upstream_unavailable")
"""What such a history may be answered beside pictures."""


def judge(world: World, figures: Figures) -> Iterator[str]:
    """What is wrong with what took place."""
    for server in world.servers:
        yield from _wrong_process(server)
    rows: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in world.rows():
        rows[row["prompt"]].append(row)
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in world.calls:
        calls[call.prompt].append(call)
    billed: dict[str, list[Record]] = defaultdict(list)
    for record in world.records():
        if record.wanted:
            billed[record.wanted.prompt] += [record] if record.billed_images else []
    for prompt in calls | billed | rows:
        for wrong in (
            *_wrong_bill(rows[prompt], billed[prompt]),
            *_wrong_answers(rows[prompt], calls[prompt]),
            *_wrong_doubts(rows[prompt], calls[prompt], together=prompt in world.twins),
        ):
            story = [*map(_told, calls[prompt]), *map(_row, rows[prompt])]
            yield "\n  ".join([f"{prompt!r}: {wrong}", *story])
    count(world, figures)


def _wrong_process(server: Server) -> Iterator[str]:
    expected = -9 if server.ending in ("kill", "trap") else 0
    if server.code != expected:
        yield f"exit code {server.code} after {server.ending}"
    if server.noise:
        yield f"on stdout: {server.noise[0]!r}"
    for bad in (b"Traceback", b"ledger can't be used", b"internal"):
        if bad in server.stderr:
            yield f"on stderr: {bytes(server.stderr[-2000:]).decode()}"


def _wrong_bill(rows: list[sqlite3.Row], billed: list[Record]) -> Iterator[str]:
    """Each billed request has a row of its own, and each row the status that fits."""
    requests = {record.id: record for record in billed}
    for row in rows:
        if row["status"] == "succeeded":
            (url, *_) = json.loads(row["urls"])
            record = requests.pop(url.split("/")[-2], None)
            if record is None or record.billed_images != row["counted"]:
                yield f"succeeded, but not billed, or not once: {row['id']}"
        elif row["status"] not in ("failed", "unknown"):
            yield f"is {row['status']} in the end: {row['id']}"
        elif row["counted"] != (row["most"] if row["status"] == "unknown" else 0):
            yield f"counts {row['counted']} when {row['status']}: {row['id']}"
    if len(requests) > sum(row["status"] == "unknown" for row in rows):
        yield f"billed, but not on record: {[record.reason for record in requests.values()]}"


def _wrong_answers(rows: list[sqlite3.Row], calls: list[Call]) -> Iterator[str]:
    """Every picture reached somebody, and nobody got one of somebody else's."""
    succeeded = {row["id"]: row for row in rows if row["status"] == "succeeded"}
    got: Counter[str] = Counter()
    for call in calls:
        if call.error and not call.error.startswith(tuple(f"[{code}]" for code in ERRORS)):
            yield f"answered {call.error}"
        if not (made := call.made):
            continue
        row = succeeded.get(made["generation_id"])
        if row is None:
            yield f"answered with {made['generation_id']}, which is not on record as such"
        elif len(calls) == 1 if made["recovered"] else row["created"] < call.sent:
            yield f"answered with {row['id']}, recovered: {made['recovered']}"
        if not call.left:
            got[made["generation_id"]] += 1
    # The note that an answer went out may be lost with its process: then the next call gets it once more.
    last = [call for call in calls if call.made and call.server.told < call.answered + 2]
    twice = sum(got.values()) - len(got)
    if twice > len(last):
        yield f"got by several calls: {got}"
    lost = [row for row in succeeded.values() if row["id"] not in got]
    # Answers that a host never reads, since it hung up, are none of the server's business.
    unread = sum(call.server.ending == "hangup" and not call.answer for call in calls)
    if len([row for row in lost if not row["delivered"]]) > twice or len(lost) > twice + unread:
        yield f"billed for nobody: {[row['id'] for row in lost]}"


def _wrong_doubts(rows: list[sqlite3.Row], calls: list[Call], *, together: bool) -> Iterator[str]:
    """A new request after one whose outcome is unknown says so."""
    for call in calls:
        if not (made := call.made) or made["recovered"]:
            continue
        created = next((row["created"] for row in rows if row["id"] == made["generation_id"]), 0.0)
        earlier = [row for row in rows if row["created"] < created]
        since = max((row["created"] for row in earlier if row["status"] == "succeeded"), default=0.0)
        doubts = [row for row in earlier if row["status"] == "unknown" and row["created"] > since]
        doubts = doubts[-3:]  # as many as it names
        if together:  # the other call's may have been pending then, and is noted a little after it has ended
            doubts = [row for row in doubts if row["ended"] < created - 1]
        said = " ".join(made["warnings"])
        if not all(row["id"] in said for row in doubts):
            yield f"{[row['id'] for row in doubts]} may have been billed too, but it says {said!r}"


def _told(call: Call) -> str:
    """A call in a line, for whoever has to find out."""
    what = (call.made or {}).get("generation_id") or (call.error or "nothing").partition("\n")[0]
    left = "cancelled, " if call.done.cancelled() else "left, " if call.left else ""
    server = f"{id(call.server):x} {call.server.ending} {call.server.told:.3f}"
    return f"{call.sent:.3f}..{call.answered:.3f} {left}{server}: {what}"


def _row(row: sqlite3.Row) -> str:
    flags = f"abandoned {row['abandoned']}, delivered {row['delivered']}"
    owner = f"owner {row['owner'][:4]}, waiter {row['waiter'][:4]}"
    return f"{row['created']:.3f}..{row['ended'] or 0:.3f} {row['id']} {row['status']}, {flags}, {owner}"


def count(world: World, figures: Figures) -> None:
    records, made = world.records(), [call.made for call in world.calls if call.made]
    statuses = Counter(row["status"] for row in world.rows())
    figures.calls += len(world.calls)
    figures.twins += len(world.twins)
    figures.posts += len(records)
    figures.billed += sum(record.billed_images > 0 for record in records)
    figures.faults += sum(record.status != 200 or record.reason != "" for record in records)
    figures.rows += statuses.total()
    figures.unknown += statuses["unknown"]
    figures.failed += statuses["failed"]
    figures.recovered += sum(result["recovered"] for result in made)
    figures.doubts += sum("may have been billed too" in " ".join(result["warnings"]) for result in made)
