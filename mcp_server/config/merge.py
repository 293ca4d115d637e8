"""A host's file with our entry in it: made, checked against what was meant, and shown."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from mcp_server.config.edits import Edit, Refused, applied, found, needed, servers_path
from mcp_server.config.hosts import Host
from mcp_server.config.shapes import document

_LONGEST_LINE = 200


class Format(Protocol):
    """What the module of a format can do."""

    def parse(self, text: str) -> Any:
        """What `text` means."""

    def edited(self, text: str, edits: list[Edit]) -> str:
        """`text` with the edits in it."""

    def render(self, value: Any) -> str:
        """`value` as a text."""

    def masked(self, text: str, ours: str) -> str:
        """`text` without anybody's secrets."""


def format_of(host: Host) -> Format:
    """The module for the host's file."""
    from importlib import import_module

    name = {"json": "jsonc"}.get(host.format, host.format)
    module: Any = import_module(f"mcp_server.config.{name}")
    return module  # type: ignore[no-any-return]  # a module, which is a Format


def snippet(host: Host, entry: Mapping[str, Any]) -> str:
    """A whole file with `entry` alone in it."""
    return format_of(host).render(document(host, entry)).rstrip("\n") + "\n"


def merged(host: Host, text: str, entry: Mapping[str, Any]) -> str:
    """`text`, a file of the host's, with `entry` in it; the same text if it is there.

    Raises:
        Refused: it can't be understood, or not be edited without a risk.
    """
    form = format_of(host)
    before = form.parse(text)
    if not before and not text.strip():
        return snippet(host, entry)
    edits = needed(host, before, entry)
    after = form.edited(text, edits)
    try:
        right = form.parse(after) == applied(before, edits)
    except Refused:
        right = False
    if not right:
        raise Refused("its way of writing is too unusual to be edited by a program")
    return after


def configured(host: Host, text: str) -> bool:
    """Whether a file of the host's has our entry, or another that starts this program.

    Raises:
        Refused: it can't be understood.
    """
    data = format_of(host).parse(text)
    path = servers_path(host, data)
    servers = found(data, path[:-1])
    return found(data, path) is not None or "mcp-server-seedream" in str(servers)


def difference(host: Host, entry: Mapping[str, Any], path: str, before: str, after: str) -> Iterator[str]:
    """The lines of a unified difference in which no value of anybody else's can be read."""
    form, ours = format_of(host), snippet(host, entry)
    old, new = (form.masked(text, ours).splitlines() for text in (before, after))
    lines = list(difflib.unified_diff(old, new, path, path, lineterm=""))
    if not lines:  # the only line that changes is hidden
        lines = [f"--- {path}", f"+++ {path}", "@@ in a line that holds values of others @@"]
        lines += [f"+{line}" for line in ours.splitlines()]
    for line in lines:
        yield line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
