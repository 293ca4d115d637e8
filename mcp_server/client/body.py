"""The request's body: the JSON of the documented fields, with pictures encoded while it is sent.

Nothing is held whole: ten references of 10 MB cost a few hundred kilobytes. The length is known
before, so that the request carries a Content-Length, and the body can be sent again from its start.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import groupby
from typing import Any, cast

import httpx
from anyio import to_thread

from mcp_server.errors import ImageUnusable
from mcp_server.references import Attachment, Wire
from mcp_server.references.source import CHUNK


class RequestBody(httpx.AsyncByteStream):
    """`fields` as compact JSON in UTF-8, `length` bytes long."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        parts: list[bytes | Attachment] = []
        separator = b"{"
        for name, value in fields.items():
            parts.append(separator + _json(name) + b":")
            parts += _array(value) if isinstance(value, list) else [_json(value)]
            separator = b","
        parts.append(b"}")
        self._parts = list(_joined(parts))
        self.handed_out = False  # whether the last byte was asked for
        self.length = sum(
            len(part) if isinstance(part, bytes) else _encoded_length(part) for part in self._parts
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.handed_out = False
        for index, part in enumerate(self._parts):
            if isinstance(part, bytes):
                self.handed_out = index == len(self._parts) - 1
                yield part
                continue
            for offset in range(0, part.length, CHUNK):
                yield await to_thread.run_sync(_encode, part, offset)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _array(references: list[Wire]) -> list[bytes | Attachment]:
    parts: list[bytes | Attachment] = [b"["]
    for index, reference in enumerate(references):
        parts.append(b"," if index else b"")
        if isinstance(reference, str):
            parts.append(_json(reference))
        else:
            parts += [b'"' + reference.label.encode(), reference, b'"']
    return [*parts, b"]"]


def _joined(parts: list[bytes | Attachment]) -> Iterator[bytes | Attachment]:
    """The parts with neighbouring bytes joined: each one that goes out is a write of its own."""
    for is_text, group in groupby(parts, key=lambda part: isinstance(part, bytes)):
        if is_text:
            yield b"".join(cast("Iterator[bytes]", group))
        else:
            yield from group


def _encoded_length(attachment: Attachment) -> int:
    return (attachment.length + 2) // 3 * 4


def _encode(attachment: Attachment, offset: int) -> bytes:
    wanted = min(CHUNK, attachment.length - offset)
    data = attachment.source.read(offset, wanted)
    if len(data) != wanted:
        raise ImageUnusable("A reference became shorter while it was read", "call again when it is complete")
    return b64encode(data)
