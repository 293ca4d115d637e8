"""The schema of the SQLite ledger: whose a file is, its version, and what brings it to the newest."""

import sqlite3

APPLICATION_ID = 0x5EED4EA
"""Marks a file as this program's own."""

MIGRATIONS = (
    """
    CREATE TABLE generations (
        id TEXT PRIMARY KEY, caller TEXT NOT NULL, fingerprint TEXT NOT NULL,
        owner TEXT NOT NULL, waiter TEXT NOT NULL, model TEXT NOT NULL, prompt TEXT NOT NULL,
        requested TEXT NOT NULL, emulated INTEGER NOT NULL, most INTEGER NOT NULL, created REAL NOT NULL,
        status TEXT NOT NULL, ended REAL, counted INTEGER NOT NULL, urls TEXT NOT NULL,
        unusable INTEGER NOT NULL, works_until REAL NOT NULL, pictures TEXT, failure TEXT,
        abandoned INTEGER NOT NULL, delivered INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX by_time ON generations (caller, created);
    CREATE INDEX by_request ON generations (caller, fingerprint, created);
    CREATE INDEX by_owner ON generations (owner) WHERE status = 'pending';
    CREATE INDEX by_waiter ON generations (waiter) WHERE delivered = 0;
    CREATE TABLE leases (process TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
    """,
)
"""What brings a file from each version of its schema to the next; `PRAGMA user_version` counts them."""


class transaction:  # noqa: N801 - used as a function; a generator would cost more than the work
    """Everything or nothing. The write lock is taken at once: a lock taken later could fail half way."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._file.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._file.execute("COMMIT")
        finally:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")


def check_ours(file: sqlite3.Connection, newest: int) -> None:
    """Whether the file is this program's, of a version up to `newest`.

    Raises:
        ValueError: it is not.
    """
    version = file.execute("PRAGMA user_version").fetchone()[0]
    application = file.execute("PRAGMA application_id").fetchone()[0]
    tables = file.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if (version or tables or application) and application != APPLICATION_ID:
        raise ValueError("it is another program's database")
    if version > newest:
        raise ValueError("it was written by a newer version of this server, which a person must install")


def migrate(file: sqlite3.Connection, migrations: tuple[str, ...]) -> None:
    """Bring the file to the newest version."""
    with transaction(file):  # another process may be at it too
        version = file.execute("PRAGMA user_version").fetchone()[0]
        for script in migrations[version:]:
            for statement in filter(str.strip, script.split(";")):
                file.execute(statement)
        if version < len(migrations):
            file.execute(f"PRAGMA user_version = {len(migrations)}")
            file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
