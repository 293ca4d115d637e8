"""Which ledger `SEEDREAM_STORE_URL` names."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.memory import MemoryLedger
from mcp_server.platforms import SYSTEM, WINDOWS

FILE = "ledger.db"


def default_path() -> Path:
    """The file in the user's state folder, by the platform's convention."""
    from platformdirs import user_state_path

    return user_state_path("mcp-server-seedream", appauthor=False) / FILE


def open_ledger(
    url: str | None, process: str, clock: Callable[[], datetime], *, named: bool = True
) -> FallbackLedger:
    """The ledger at `url`, a checked setting; None is the default. Nothing is opened yet.

    What callers are told of its troubles names it if `named`.
    """
    if url == "memory://":
        return FallbackLedger(MemoryLedger(clock), url, clock)
    if url and url.startswith("redis"):
        from mcp_server.generations.redis import RedisLedger

        return FallbackLedger(RedisLedger(url, process, clock), redis_name(url) if named else None, clock)
    from mcp_server.generations.sqlite import SqliteLedger

    try:
        path = sqlite_path(url) if url else default_path()
    except RuntimeError:  # no home folder; the ledger says so when it is used
        path = Path("~", FILE)
    return FallbackLedger(SqliteLedger(path, process, clock), str(path) if named else None, clock)


def redis_name(url: str) -> str:
    """The address in a Redis URL, without its secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def sqlite_path(url: str) -> Path:
    """The path in `sqlite:///PATH`; it is absolute, with or without a slash of its own."""
    return Path(spelled(url, windows=SYSTEM == WINDOWS)).expanduser()


def spelled(url: str, *, windows: bool) -> str:
    """The same as it is written, with its `~`."""
    path = url.removeprefix("sqlite:///")
    whole = path.startswith("~") or (windows and re.match("[A-Za-z]:", path))
    return path if whole else "/" + path.lstrip("/")
