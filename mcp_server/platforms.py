"""What differs from system to system and no library evens out. Nothing else in the package asks for it.

Each function can be told what it would find on another system, so that all of them can be tested on any.
"""

import contextlib
import errno
import io
import os
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

SYSTEM = str(sys.platform)  # a plain string: the type checker must read what is for others, too
WINDOWS, MACOS, LINUX = "win32", "darwin", "linux"

_MOST_FILES_ON_MACOS = 10_240  # OPEN_MAX; where the limit is called infinite, more is refused all the same
_GETPATH_ON_MACOS = 50  # F_GETPATH
_LONGEST_PATH_ON_MACOS = 1024


def ending_signals(known: Any = signal) -> tuple[signal.Signals, ...]:
    """The signals that tell a process to end.

    Windows sends SIGBREAK for Ctrl-Break, for a console that is closed, and to a process group.
    """
    return tuple(getattr(known, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(known, name))


def is_unread(error: BaseException, system: str = SYSTEM) -> bool:
    """Whether writing failed because nobody reads any more; Windows calls that an invalid argument."""
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return True
    return system == WINDOWS and isinstance(error, OSError) and error.errno == errno.EINVAL


def print_anything(streams: Iterable[Any]) -> None:
    """Let `streams` print what their encoding has no characters for: escaped, and not as an exception.

    Windows gives pipes and files an encoding of few characters; paths and prompts have any.
    """
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def have_port_alone(listener: socket.socket, known: Any = socket) -> None:
    """Let no other process listen on the port of `listener`, but let this one right after another has ended.

    On Windows SO_REUSEADDR would let two listen at once, and calls reach either.
    """
    option = getattr(known, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    listener.setsockopt(socket.SOL_SOCKET, option, 1)


def allow_files(wanted: int) -> None:
    """Raise the limit of open files to `wanted`, or as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    for most in (wanted, _MOST_FILES_ON_MACOS):
        allowed = most if hard == infinite else min(most, hard)
        if soft == infinite or soft >= allowed:
            return
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            return


def reading_flags(known: Any = os) -> int:
    """The flags to open a file for reading: its bytes as they are, never waiting, through no link."""
    flags = 0
    for name in ("O_RDONLY", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(known, name, 0)
    return flags


def opened_path(descriptor: int, real: Path, system: str = SYSTEM) -> Path:
    """The path of an open file as the system knows it; `real` is the one that it was opened by."""
    if system == LINUX:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - as the system writes it
    if system == MACOS:
        import fcntl

        name: bytes = fcntl.fcntl(descriptor, _GETPATH_ON_MACOS, bytes(_LONGEST_PATH_ON_MACOS))
        return Path(os.fsdecode(name.rstrip(b"\0")))
    # A name is all there is: it must lead to the open file now.
    now = Path(os.path.realpath(real))
    try:
        same = os.path.samestat(os.fstat(descriptor), now.stat())
    except OSError:
        same = False
    return now if same else Path(now.anchor)


def is_within(path: Path, folder: Path, system: str = SYSTEM) -> bool:
    """Whether `path`, which leads through no links, is `folder` or in it.

    macOS and Windows take a name in any case and any form of Unicode, and short ones: there names may differ
    where the folder is the same.
    """
    if path.is_relative_to(os.path.realpath(folder)):
        return True
    return system in (WINDOWS, MACOS) and any(_is_same(one, folder) for one in (path, *path.parents))


def is_elsewhere(path: PurePath, folders: Sequence[PurePath]) -> bool:
    r"""Whether `path` is on a network share or device that none of `folders` is on, by its spelling alone.

    On Windows a mere look at \\host\share tells that host who the user is, so it must be refused before.
    """
    drive = path.drive.lower()
    return drive.startswith("\\\\") and all(folder.drive.lower() != drive for folder in folders)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
