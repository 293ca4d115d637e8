"""Generations as rows: text, numbers and None by column, which any store can hold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_server.generations.generation import Failure, Generation, Picture, first_expiry

_NAMES = tuple(field.name for field in fields(Generation))
_TIMES = ("created", "ended")
_FLAGS = ("emulated", "abandoned", "delivered")
_AS_JSON = ("requested", "urls", "pictures", "failure")


def to_row(generation: Generation) -> dict[str, Any]:
    """Every column; beside the fields `works_until`, for queries."""
    row = to_columns({name: getattr(generation, name) for name in _NAMES})
    return row | {"works_until": generation.works_until.timestamp()}


def to_columns(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of some fields. `urls` come together with `ended`: they tell until when they work."""
    columns = {name: _to_column(name, value) for name, value in changes.items()}
    if changes.get("urls") and changes.get("ended"):
        columns["works_until"] = first_expiry(changes["urls"], changes["ended"]).timestamp()
    return columns


def from_row(row: Mapping[str, Any]) -> Generation:
    """The generation of a row, read by the names of its columns; those not known here are left out.

    Raises:
        ValueError: the row holds what no version has written.
    """
    try:
        return Generation(**{name: _from_column(name, row[name]) for name in _NAMES})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("a row in it is damaged") from error


def moment(seconds: float) -> datetime:
    """A time as rows hold it, seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def _to_column(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return value.timestamp()
    if name == "pictures":
        value = {number: asdict(picture) for number, picture in value.items()}
    elif name == "failure":
        value = asdict(value)
    elif name == "requested":
        value = dict(value)
    elif name not in _AS_JSON:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TIMES, moment),
    **dict.fromkeys(_FLAGS, bool),
    "requested": json.loads,
    "urls": lambda text: tuple(json.loads(text)),
    "failure": lambda text: Failure(**json.loads(text)),
    "pictures": lambda text: {int(number): _picture(**facts) for number, facts in json.loads(text).items()},
}


def _from_column(name: str, value: Any) -> Any:
    read = _READ.get(name)
    return value if value is None or read is None else read(value)


def _picture(saved_path: str | None, **facts: Any) -> Picture:
    return Picture(saved_path=Path(saved_path) if saved_path else None, **facts)
