"""Where the bytes of a reference come from: a file, or base64 text. Read in pieces, never whole."""

import base64
import binascii
import io
import os
from typing import BinaryIO, Protocol, cast

from mcp_server.errors import ImageUnusable

CHUNK = 192 * 1024
"""Bytes read at once. A multiple of 3, so that pieces of base64 join without padding."""


class Source(Protocol):
    """Bytes of a known number that can be read again and again, as retries need."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; blocks."""

    def close(self) -> None:
        """Let go of the file behind it, if any."""


class FileSource:
    """An open file. What was checked is what is sent: the descriptor stays open in between.

    Reading raises `ImageUnusable` once the file is not as it was when it was opened.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._state = self._stat()
        self.size = self._state[0]

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`.

        Raises:
            ImageUnusable: the file has changed since it was opened.
        """
        self._file.seek(offset)
        data = self._file.read(length)
        if self._stat() != self._state:
            raise ImageUnusable(f"{self._name} changed while it was read", "call again when it is complete")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _stat(self) -> tuple[int, int]:
        stat = os.fstat(self._file.fileno())
        return stat.st_size, stat.st_mtime_ns


class Base64Source:
    """The bytes that base64 text stands for, decoded piece by piece.

    Raises:
        ValueError: the text is not base64, here or while it is read.
    """

    def __init__(self, text: str) -> None:
        if len(text) % 4 or not text.isascii():
            raise ValueError("not base64")
        self._text = text
        self.size = len(text) // 4 * 3 - text[-2:].count("=")

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        first, last = offset // 3, (offset + length + 2) // 3
        try:
            data = base64.b64decode(self._text[first * 4 : last * 4], validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
        return data[offset - first * 3 :][:length]

    def close(self) -> None:
        """Nothing to let go of."""


class _Raw(io.RawIOBase):
    """A source as a raw file, from its start to `end`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # a buffer, as the base has it
        data = self._source.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def as_file(source: Source) -> BinaryIO:
    """The source as a seekable binary file, for libraries that read one."""
    return cast("BinaryIO", io.BufferedReader(_Raw(source), CHUNK))
