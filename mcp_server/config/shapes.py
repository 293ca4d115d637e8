"""A host's entry and a whole file, filled in from the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_server.config.hosts import NAME, Host, Item, Mark, Shape, Step

PUBLISHED = ("uvx", ("mcp-server-seedream",))
"""What starts the published package, wherever uv is installed."""


def local_entry(host: Host, command: str, args: Sequence[str]) -> dict[str, Any]:
    """The entry that starts the server by `command`."""
    values = {Mark.COMMAND: command, Mark.ARGS: list(args), Mark.LINE: [command, *args]}
    return _entry(host, host.local, values)


def remote_entry(host: Host, url: str) -> dict[str, Any] | None:
    """The entry for the server at `url`, by SSE if it ends in `/sse`; None where the host can't."""
    shape = host.shape("sse" if url.endswith("/sse") else "http")
    return None if shape is None else _entry(host, shape, {Mark.URL: url})


def path_of(host: Host, *, older: bool = False) -> tuple[Step, ...]:
    """The way from the root of the host's file to our entry."""
    return (*(host.older_keys if older else host.keys), Item("name", NAME) if host.named else NAME)


def inputs_of(host: Host, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the host has to ask for, since `entry` refers to it."""
    text = str(entry)
    return [
        {"type": "promptString", "id": name, "description": question, "password": True}
        for name, question in host.inputs.items()
        if f"${{input:{name}}}" in text
    ]


def document(host: Host, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A whole file with `entry` alone in it."""
    servers: Any = [entry] if host.named else {NAME: entry}
    for key in reversed(host.keys):
        servers = {key: servers}
    inputs = inputs_of(host, entry)
    return {**host.whole, **({"inputs": inputs} if inputs else {}), **servers}


def _entry(host: Host, shape: Shape, values: Mapping[Mark, Any]) -> dict[str, Any]:
    filled = {key: values[value] if isinstance(value, Mark) else value for key, value in shape.items()}
    return {"name": NAME, **filled} if host.named else filled
