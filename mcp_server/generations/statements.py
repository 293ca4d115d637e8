"""The longer statements of the SQLite ledger: `begin`, and the end of a process."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mcp_server.generations import rows
from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import (
    LEASE,
    MINUTE,
    RECENT_TIMES,
    Begun,
    Full,
    Terms,
    day_of,
    full,
    usual,
)

_AFTER_THE_END = (
    # What it had made and nobody got is free.
    """
    UPDATE generations SET abandoned = 1
    WHERE waiter = :process AND NOT delivered AND status != 'failed'
    """,
    "UPDATE generations SET pictures = '{}' WHERE owner = :process AND pictures IS NULL",
    "UPDATE generations SET status = 'unknown', ended = :now WHERE owner = :process AND status = 'pending'",
    "DELETE FROM leases WHERE process = :process",
)
_IDENTICAL = "FROM generations WHERE caller = :caller AND fingerprint = :fingerprint"


def begin(
    file: sqlite3.Connection, wanted: Generation, terms: Terms | None, doubts_since: datetime | None
) -> Begun | Full | None:
    """See `Ledger.begin`."""
    values = rows.to_row(wanted) | {"doubts": doubts_since.timestamp() if doubts_since else None}
    renew(file, wanted.owner, wanted.created + LEASE)
    times = file.execute(
        "SELECT ended - created FROM generations WHERE caller = :caller AND model = :model AND most = :most "
        "AND emulated = :emulated AND status = 'succeeded' ORDER BY created DESC LIMIT :times",
        values | {"times": RECENT_TIMES},
    )
    usual_seconds = usual([seconds for (seconds,) in times])
    abandoned = file.execute(
        f"SELECT * {_IDENTICAL} AND abandoned AND (status = 'pending' OR (status = 'succeeded' "
        "AND works_until > :created AND (NOT emulated OR owner = :owner)) OR (status = 'unknown' "
        "AND created > :doubts)) ORDER BY status = 'unknown', created DESC LIMIT 1",
        values,
    ).fetchone()
    if abandoned:
        file.execute(
            "UPDATE generations SET abandoned = 0, delivered = 0, waiter = ? WHERE id = ?",
            (wanted.waiter, abandoned["id"]),
        )
        claimed = replace(rows.from_row(abandoned), abandoned=False, delivered=False, waiter=wanted.waiter)
        return Begun(claimed, claimed=True, usual_seconds=usual_seconds)
    if terms is None:
        return None
    if (terms.per_minute or terms.per_day) and (no_room := _full(file, wanted, terms, values)):
        return no_room
    in_doubt = file.execute(
        f"SELECT * {_IDENTICAL} AND status = 'unknown' AND created > COALESCE((SELECT MAX(created) "
        f"{_IDENTICAL} AND status = 'succeeded'), 0) ORDER BY created DESC",
        values,
    ).fetchall()
    insert(file, rows.to_row(wanted))
    return Begun(wanted, in_doubt=tuple(map(rows.from_row, in_doubt)), usual_seconds=usual_seconds)


def _full(
    file: sqlite3.Connection, wanted: Generation, terms: Terms, values: Mapping[str, Any]
) -> Full | None:
    alike = "FROM generations WHERE caller = :caller AND emulated = :emulated AND created"
    since = {"day": day_of(wanted.created).timestamp(), "minute": (wanted.created - MINUTE).timestamp()}
    today, used = file.execute(
        f"SELECT (SELECT COALESCE(SUM(counted), 0) {alike} >= :day), "
        f"(SELECT COALESCE(SUM(counted), 0) {alike} > :minute)",
        {**values, **since},
    ).fetchone()
    window: list[tuple[datetime, int]] = []
    if terms.per_minute is not None and used + wanted.most > terms.per_minute:
        found = file.execute(
            f"SELECT created, counted {alike} > :minute ORDER BY created", {**values, **since}
        )
        window = [(rows.moment(created), counted) for created, counted in found]
    return full(today, window, wanted, terms)


def insert(file: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Write a whole row, in place of one with its id."""
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    file.execute(f"INSERT OR REPLACE INTO generations ({names}) VALUES ({marks})", row)  # noqa: S608 - names of ours


def renew(file: sqlite3.Connection, process: str, until: datetime) -> None:
    """See `Ledger.renew`."""
    text = "INSERT INTO leases VALUES (?, ?) ON CONFLICT (process) DO UPDATE SET until = excluded.until"
    file.execute(text, (process, until.timestamp()))


def bury(file: sqlite3.Connection, process: str, now: datetime) -> None:
    """What the end of a process means for its rows."""
    for text in _AFTER_THE_END:
        file.execute(text, {"process": process, "now": now.timestamp()})
