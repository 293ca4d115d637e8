"""Reading a host's file and putting another text in its place, so that it is never half a file or none."""

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mcp_server.config.edits import Refused

_LARGEST = 4 * 1024**2
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it was read; `path` leads there without symbolic links. No data: there is no file."""

    path: Path
    data: bytes | None

    @property
    def text(self) -> str:
        """What is in it, without a byte order mark."""
        return (self.data or b"").decode().removeprefix(_BOM)


def read(path: Path) -> Original:
    """The file at `path`.

    Raises:
        Refused: it is none that can be edited.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Refused("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no ordinary file")
        if found.st_size > _LARGEST:
            raise Refused(f"it is larger than {_LARGEST // 1024**2} MB")
        original = Original(Path(os.path.realpath(path)), path.read_bytes())
        _ = original.text
    except FileNotFoundError:
        return Original(Path(os.path.realpath(path)), None)
    except UnicodeDecodeError:
        raise Refused("it is not UTF-8") from None
    except OSError as error:
        raise Refused(f"it can't be read: {error.strerror}") from None
    return original


def replace(original: Original, text: str, now: datetime) -> Path | None:
    """Put `text` where `original` was read from; its ends of lines, byte order mark and rights stay.

    Returns:
        Where a copy of what was there is; None if there was nothing.

    Raises:
        Refused: it may not be written, or has changed since it was read.
    """
    path, before = original.path, original.data
    if before is not None:
        text = _like(before.decode(), text)
    try:
        mode = _mode(path) if before is not None else 0o600
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            _write(part, text.encode(), mode, like=path)
            if _now(path) != before:
                raise Refused("it has just been changed by another program; try again")
            backup = None if before is None else _backup(path, before, mode, now)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"it can't be written: {error.strerror}") from None
    return backup


def _like(before: str, text: str) -> str:
    if before.count("\r\n") == before.count("\n") > 0:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return _BOM + text if before.startswith(_BOM) else text


def _mode(path: Path) -> int:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o222 or not os.access(path, os.W_OK):
        raise Refused("it is read-only")
    return mode


def _now(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _backup(path: Path, data: bytes, mode: int, now: datetime) -> Path:
    name = f"{path.name}.bak-{now:%Y%m%d-%H%M%S}"
    for number in range(100):
        backup = path.with_name(f"{name}-{number}" if number else name)
        with contextlib.suppress(FileExistsError):
            _write(backup, data, mode, like=path)
            return backup
    raise Refused("there are a hundred copies of it from this second")


def _write(path: Path, data: bytes, mode: int, *, like: Path) -> None:
    """A new file, safely on the disk, for who owns the file `like`."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)
    with contextlib.suppress(OSError, AttributeError):  # Windows has no owners of this kind
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
