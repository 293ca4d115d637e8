"""Saving a picture: named for people, its origin written into it, never over another file."""

import contextlib
import json
import os
import re
import secrets
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape

from mcp_server.errors import NotConfigured
from mcp_server.generations.generation import Generation

_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
_LONGEST_WORDS = 40
_LONGEST_NAME = 90
_LONGEST_TEXT = 12_000  # characters of the prompt written into the picture: a JPEG segment holds 64 kB
_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_PNG = b"XML:com.adobe.xmp\0\0\0\0\0"
_PNG_HEADER_END = 33  # signature and IHDR


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a picture comes from; written into it."""

    generation: Generation
    number: int  # from 1

    @property
    def url(self) -> str:
        """Its link."""
        return self.generation.urls[self.number - 1]

    @property
    def prompt(self) -> str:
        """The whole prompt."""
        return self.generation.prompt


def check_folder(folder: Path) -> None:
    """Make sure that pictures can be saved in `folder`, before anything is paid for.

    Raises:
        NotConfigured: it can't be made or written to; with a suggestion.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # As long as the longest name, where it has one: on Windows a path of more than 260 characters fails.
        with tempfile.TemporaryFile(dir=folder, prefix="x" * _LONGEST_NAME):
            pass
    except OSError as error:
        suggested = os.path.expanduser(Path("~", "Pictures", "seedream"))  # noqa: PTH111 - there may be no home
        raise NotConfigured(
            f"Pictures can't be saved in SEEDREAM_SAVE_DIR, {folder} ({error.strerror}); nothing was sent",
            "a person must set SEEDREAM_SAVE_DIR to a folder that this server may write to, such as "
            f"{suggested}, or unset it, and restart the server",
        ) from None


@contextlib.contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """A file of our own in `folder`, or where the system has its temporary ones; gone at the end."""
    if folder:  # with the rights that files there have
        path = folder / f".seedream-{secrets.token_hex(8)}.part"
        path.open("xb").close()
    else:
        descriptor, name = tempfile.mkstemp(prefix=".seedream-")
        os.close(descriptor)
        path = Path(name)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def file_name(origin: Origin, mime_type: str) -> str:
    """`YYYYMMDD-HHMMSS-<words of the prompt>-<id>-<n>.<ext>`, legal on every system."""
    words = re.sub(r"\W+", "-", origin.prompt)[:_LONGEST_WORDS].strip("-_").lower()
    # Letters count in bytes on most systems: 40 of four bytes each still fit into a name.
    stamp, suffix = f"{origin.generation.made:%Y%m%d-%H%M%S}", _SUFFIXES[mime_type]
    return f"{stamp}-{words or 'image'}-{origin.generation.id}-{origin.number}.{suffix}"


def save(downloaded: Path, folder: Path, mime_type: str, origin: Origin) -> Path:
    """Put the picture in `downloaded` into `folder`, with its origin in it. Returns its path.

    Written beside, synced, and only then named, so that a crash leaves no half picture under its name.

    Raises:
        OSError: the disk is full, or the folder gone.
    """
    with scratch(folder) as part:
        with part.open("wb") as target, downloaded.open("rb") as source:
            _copy_with_origin(source, target, mime_type, origin)
            target.flush()
            os.fsync(target.fileno())
        return _named(part, folder / file_name(origin, mime_type))


def _named(part: Path, wanted: Path) -> Path:
    """Give the file its name, or the next free one; a name in use is never taken over."""
    for attempt in range(1, 100):
        path = wanted if attempt == 1 else wanted.with_stem(f"{wanted.stem}-{attempt}")
        try:
            # A link fails where the name is taken; a rename would replace it.
            os.link(part, path)
        except FileExistsError:
            continue
        except OSError:  # no links on this file system: the name is taken first, then replaced
            try:
                path.open("xb").close()
            except FileExistsError:
                continue
            part.replace(path)
        return path
    raise FileExistsError(f"{wanted.name} and a hundred like it")


def _copy_with_origin(source: BinaryIO, target: BinaryIO, mime_type: str, origin: Origin) -> None:
    xmp = _xmp(origin)
    if mime_type == "image/jpeg":
        head = source.read(4)
        start = 2
        if head[2:] == b"\xff\xe0":  # JFIF wants its segment first
            start = 4 + int.from_bytes(source.read(2), "big")
        source.seek(0)
        target.write(source.read(start))
        segment = _XMP_JPEG + xmp
        target.write(b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment)
    elif mime_type == "image/png":
        target.write(source.read(_PNG_HEADER_END))
        chunk = b"iTXt" + _XMP_PNG + xmp
        target.write(struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    shutil.copyfileobj(source, target)


def _xmp(origin: Origin) -> bytes:
    """The origin as an XMP packet, which image viewers show as description, source and date."""
    prompt = origin.prompt[:_LONGEST_TEXT]
    parameters = {
        name: value
        for name, value in origin.generation.requested.items()
        if name != "prompt" and not isinstance(value, list)  # nor references, whatever their field
    }
    fields = {
        "dc:source": origin.url,
        "xmp:CreateDate": origin.generation.made.isoformat(timespec="seconds"),
        "xmp:CreatorTool": f"mcp-server-seedream, {origin.generation.model}",
        "photoshop:Instructions": json.dumps(parameters, ensure_ascii=False),
        "xmpMM:DocumentID": origin.generation.id,
    }
    lines = "".join(f"<{name}>{_clean(value)}</{name}>" for name, value in fields.items())
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{_clean(prompt)}</rdf:li></rdf:Alt>'
        f"</dc:description>{lines}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    )
    return text.encode()


def _clean(text: str) -> str:
    """`text` inside XML: escaped, and without the control characters that XML has no way to write."""
    return escape("".join(char if char.isprintable() or char in "\n\t" else " " for char in text))
