"""Local reference files: any way to write a path, only from allowed places, only regular files."""

import difflib
import os
import re
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from mcp_server.errors import ImageNotFound, ImageUnusable, InvalidArgument
from mcp_server.platforms import SYSTEM, WINDOWS, is_elsewhere, is_within, opened_path, reading_flags
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
        host, text = "", entry[5:]
        if text.startswith("//"):
            host, slash, rest = text[2:].partition("/")
            text = slash + rest
        if host.lower() not in ("", "localhost"):
            raise InvalidArgument(f"{name} is a file URI of another machine", _REMEDY)
        text = unquote(text)
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
    path = Path(path_text(entry, name, windows=SYSTEM == WINDOWS))
    if not path.is_absolute():
        folder = Path.cwd()
        if folder == Path(folder.anchor):
            raise InvalidArgument(
                f"{name} is a relative path, but this server runs in {folder}", "pass an absolute path"
            )
        path = folder / path
    if allowed is not None and is_elsewhere(path, allowed):  # pragma: no cover - Windows
        raise _misplaced(name)
    real = Path(os.path.realpath(path))
    _check_place(real, name, allowed)
    file = _open(real, name, allowed)
    # Judged by what is open, not by its name: names may be pointed elsewhere between two looks at them.
    try:
        _check_place(opened_path(file.fileno(), real), name, allowed)
    except ImageUnusable:
        file.close()
        raise
    return FileSource(file, name)


def _check_place(real: Path, name: str, allowed: Sequence[Path] | None) -> None:
    if allowed is not None and not any(is_within(real, folder) for folder in allowed):
        raise _misplaced(name)


def _misplaced(name: str) -> ImageUnusable:
    return ImageUnusable(
        f"{name} is not in a folder that references may come from",
        "move the file into one of the folders in SEEDREAM_INPUT_DIRS, or pass a public URL",
    )


def _open(real: Path, name: str, allowed: Sequence[Path] | None) -> BinaryIO:
    # Not even opened unless regular: opening a device may do something, opening a FIFO waits.
    try:
        if not stat.S_ISREG(real.stat().st_mode):
            kind = "a folder" if real.is_dir() else "no regular file"
            raise ImageUnusable(f"{name} is {kind}", _REMEDY)
        descriptor = os.open(real, reading_flags())
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
            # Like in length first, and few: comparing thousands of long names takes seconds.
            names = [entry.name[:80] for entry in islice(entries, 5_000)]
            names = sorted(names, key=lambda one: abs(len(one) - len(real.name)))[:300]
    except (OSError, ImageUnusable):
        return "check the path: its folder is not there either"
    close = [name for name in difflib.get_close_matches(real.name[:80], names, n=3) if name.isprintable()]
    return (
        "did you mean " + " or ".join(close) + "?" if close else "check the path, and call list on its folder"
    )
