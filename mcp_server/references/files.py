"""Local reference files: any way to write a path, only from allowed places, only regular files."""

import difflib
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from mcp_server.errors import ImageNotFound, ImageUnusable, InvalidArgument
from mcp_server.references.source import FileSource

_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]|\\\\")
_REMEDY = (
    "pass the absolute path of a jpeg or png, a public URL, or the image as data:image/jpeg;base64,<data>"
)


def path_text(entry: str, name: str, *, windows: bool) -> str:
    """The path that `entry` spells: a plain one, one with `~`, or a `file://` URI.

    Raises:
        InvalidArgument: a URI of another machine, or a Windows path on another system.
    """
    text = entry
    if entry[:5].lower() == "file:":
        parts = urlsplit(entry)
        if parts.netloc not in ("", "localhost"):
            raise InvalidArgument(f"{name} is a file URI of another machine", _REMEDY)
        text = unquote(parts.path)
        if windows and re.match(r"/[A-Za-z]:", text):
            text = text[1:]
    if not windows and _DRIVE.match(text):
        raise InvalidArgument(f"{name} is a Windows path, but this server does not run on Windows", _REMEDY)
    if not text or "\0" in text:
        raise InvalidArgument(f"{name} is not a path", _REMEDY)
    return os.path.expanduser(text)  # noqa: PTH111 - before it is known to be a path


def open_local(entry: str, name: str, allowed: Sequence[Path] | None) -> FileSource:
    """The file that `entry` names, open; what is checked and sent later is this one, whatever moves.

    `allowed` are the folders that it may be in, None: any.

    Raises:
        ImageNotFound: there is no such file; the nearest names are told.
        ImageUnusable: not in an allowed place, no regular file, or not readable.
        InvalidArgument: not a usable path.
    """
    if allowed is not None and not allowed:
        raise ImageUnusable(
            f"{name} is a local path, and callers over the network may not read this machine's files",
            "pass a public URL or data:image/jpeg;base64,<data>. A person may allow folders by "
            "SEEDREAM_INPUT_DIRS",
        )
    path = Path(path_text(entry, name, windows=os.name == "nt"))
    if not path.is_absolute():
        folder = Path.cwd()
        if folder == Path(folder.anchor):
            raise InvalidArgument(
                f"{name} is a relative path, but this server runs in {folder}", "pass an absolute path"
            )
        path = folder / path
    real = Path(os.path.realpath(path))
    _check_place(real, name, allowed)
    file = _open(real, name, allowed)
    # The name may have been pointed elsewhere since it was resolved. What is open must be what an
    # allowed name leads to now; the descriptor then holds it.
    now = Path(os.path.realpath(real))
    try:
        _check_place(now, name, allowed)
        same = os.path.samestat(os.fstat(file.fileno()), os.stat(now))  # noqa: PTH116
        if not same:
            raise ImageUnusable(f"{name} changed while it was opened", "call again")
    except OSError:
        file.close()
        raise ImageUnusable(f"{name} changed while it was opened", "call again") from None
    except ImageUnusable:
        file.close()
        raise
    return FileSource(file, name)


def _check_place(real: Path, name: str, allowed: Sequence[Path] | None) -> None:
    if allowed is None or any(real.is_relative_to(os.path.realpath(folder)) for folder in allowed):
        return
    raise ImageUnusable(
        f"{name} is not in a folder that references may come from",
        "move the file into one of the folders in SEEDREAM_INPUT_DIRS, or pass a public URL",
    )


def _open(real: Path, name: str, allowed: Sequence[Path] | None) -> BinaryIO:
    # Not even opened unless regular: opening a device may do something, opening a FIFO waits.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(real.stat().st_mode):
            kind = "a folder" if real.is_dir() else "no regular file"
            raise ImageUnusable(f"{name} is {kind}", _REMEDY)
        descriptor = os.open(real, flags)
    except FileNotFoundError:
        raise ImageNotFound(f"{name}: there is no such file", _nearest(real, allowed)) from None
    except OSError as error:
        raise ImageUnusable(f"{name} can't be read ({error.strerror})", _REMEDY) from None
    file = os.fdopen(descriptor, "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise ImageUnusable(f"{name} is no regular file", _REMEDY)
    return file


def _nearest(real: Path, allowed: Sequence[Path] | None) -> str:
    """What to do about a missing file: the nearest names in its folder."""
    try:
        _check_place(real.parent, "", allowed)
        with os.scandir(real.parent) as entries:
            names = sorted(entry.name for entry in entries)[:5_000]
    except (OSError, ImageUnusable):
        return "check the path: its folder is not there either"
    close = [name for name in difflib.get_close_matches(real.name, names, n=3) if name.isprintable()]
    return (
        "did you mean " + " or ".join(close) + "?" if close else "check the path, and call list on its folder"
    )
