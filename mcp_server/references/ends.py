"""Where a picture ends inside its file. What stands behind the end is no part of the picture.

Structure only: nothing is decoded, so that a picture that needs no change costs no memory. No library
gives the end; Pillow stops reading before it.
"""

import re
from typing import BinaryIO

from mcp_server.references.source import CHUNK

# Inside a JPEG's scan: 0xFF with anything but a stuffed zero, a fill byte or a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# More than any honest file has; each costs time.
_MOST_PARTS = 50_000
_MOST_SCANS = 200
_MOST_BLOCKS = 500_000  # of a GIF: at most 255 bytes in each

_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
# Beginnings of files that have no business behind a picture.
_FOREIGN = re.compile(
    rb"PK\x03\x04|%PDF-|\x7fELF|MZ\x90|Rar!|7z\xbc\xaf|<\?php|<\?xml|<script|<html|<!doctype|#!/",
    re.IGNORECASE,
)


def end_of_jpeg(file: BinaryIO) -> int | None:
    """The offset behind the end-of-image marker, or None where there is none: a truncated file."""
    file.seek(2)
    scans = 0
    for _ in range(_MOST_PARTS):
        head = file.read(2)
        if len(head) < 2 or head[0] != 0xFF:
            return None
        marker = head[1]
        if marker == _END_OF_IMAGE:
            return file.tell()
        if marker == 0xFF:  # a fill byte: the marker comes next
            file.seek(-1, 1)
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length follows
            continue
        length = int.from_bytes(file.read(2), "big")
        if length < 2:
            return None
        file.seek(length - 2, 1)
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > _MOST_SCANS or not _skip_scan(file):
                return None
    return None


def _skip_scan(file: BinaryIO) -> bool:
    """Go to the marker that ends the scan; False where the file ends first."""
    start = file.tell()
    rest = b""
    while data := file.read(CHUNK):
        window = rest + data
        if match := _MARKER.search(window):
            file.seek(start + match.start())
            return True
        rest = window[-1:]
        start += len(window) - len(rest)
    return False


def end_of_png(file: BinaryIO, size: int) -> int | None:
    """The offset behind the IEND chunk, or None where there is none: a truncated file."""
    position = 8
    for _ in range(_MOST_PARTS):
        if position + 12 > size:
            return None
        file.seek(position)
        head = file.read(8)
        position += 12 + int.from_bytes(head[:4], "big")
        if head[4:] == b"IEND":
            return position if position <= size else None
    return None


def end_of_gif(data: bytes) -> int | None:
    """The offset behind the trailer, or None where there is none: a truncated file."""
    try:
        position, inside = 13 + _colours(data[10]), False
        for _ in range(_MOST_BLOCKS):
            first = data[position]
            if inside:  # a block of data, by its length; an empty one is the last
                position, inside = position + 1 + first, first > 0
            elif first == 0x2C:  # a frame
                position, inside = position + 11 + _colours(data[position + 9]), True
            elif first == 0x21:  # an extension
                position, inside = position + 2, True
            else:
                return position + 1 if first == 0x3B else None
    except IndexError:
        pass
    return None


def _colours(flags: int) -> int:
    """The length of a GIF's colour table."""
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0


def end_of_webp(data: bytes) -> int | None:
    """The offset behind the RIFF container, or None where the file ends first."""
    end = 8 + int.from_bytes(data[4:8], "little")
    return end if end <= len(data) else None


def end_of_bmp(data: bytes) -> int:
    """The offset that the header names as the end; not all writers fill it in."""
    end = int.from_bytes(data[2:6], "little")
    return end if 0 < end <= len(data) else len(data)


def is_foreign(tail: bytes) -> bool:
    """Whether what stands right behind a picture is a file of another kind."""
    return _FOREIGN.match(tail.lstrip(b"\0")) is not None
