"""Logs: stderr only, as text or as JSON, each line with the id of the request that it belongs to."""

import json
import logging
import sys
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from mcp_server.errors import describe

request_id: ContextVar[str] = ContextVar("request_id", default="")


def configure_logging(level: str, form: Literal["text", "json"] = "text") -> None:
    """Log to stderr: our own lines from `level`, everybody else's only from WARNING.

    Others log what must not be logged: the SDK whole messages, with image data in them.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(_without_data)
    logging.basicConfig(handlers=[handler], level="WARNING")
    logging.getLogger("mcp_server").setLevel(level)
    # Pillow warns of damaged or huge pictures; each is answered where it is read.
    warnings.filterwarnings("ignore", module="PIL")


def _without_data(record: logging.LogRecord) -> bool:
    """Let a record pass with the kind and place of its error: tracebacks of others may hold what was sent."""
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args = f"{record.getMessage()}: {describe(record.exc_info[1])}", ()
        record.exc_info = None
    return True


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        given = request_id.get()
        return f"{text} [{given}]" if given and not hasattr(record, "facts") else text


class _Json(logging.Formatter):
    """An object on each line; the `facts` of a record, a mapping, stand in it as they are."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if given := request_id.get():
            entry["request_id"] = given
        return json.dumps(entry | getattr(record, "facts", {}), ensure_ascii=False, default=str)
