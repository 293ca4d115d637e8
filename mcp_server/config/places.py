"""Where a host's file is on a machine."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from mcp_server.config.hosts import Host
from mcp_server.platforms import LINUX, MACOS, SYSTEM, WINDOWS

_VARIABLE = re.compile(r"\{(\w+)\|([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides where files are."""

    platform: str  # as in sys.platform
    home: str
    folder: str  # the current one, where the files of a project are
    environ: Mapping[str, str]


def this_machine() -> Machine:
    """The one that this runs on; what is neither Windows nor macOS has its files where Linux has them."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() fails where there is none
    try:
        folder = str(Path.cwd())
    except OSError:  # it is gone
        folder = home
    return Machine(SYSTEM if SYSTEM in (MACOS, WINDOWS) else LINUX, home, folder, os.environ)


def places_of(host: Host, machine: Machine) -> list[PurePath]:
    """The files that the host may keep its servers in, the usual one first; none on systems it is not for."""
    return [_resolved(place, machine) for place in host.places.get(machine.platform, ())]


def file_of(host: Host, machine: Machine) -> Path | None:
    """The file to write: of several the first that is there, else the usual one."""
    places = [Path(place) for place in places_of(host, machine)]
    return next(filter(_exists, places), places[0] if places else None)


def also_read(host: Host, machine: Machine) -> list[Path]:
    """Other files in which the host may have our entry."""
    return [Path(_resolved(place, machine)) for place in host.also]


def is_here(host: Host, machine: Machine) -> bool:
    """Whether the host left traces on this machine: a file of its own, or a folder of its own."""
    files = [Path(place) for place in places_of(host, machine)]
    common = (Path(machine.home), Path(machine.folder))
    folders = [file.parent for file in files if file.parent not in common]
    return any(map(_exists, (*files, *folders, *also_read(host, machine))))


def shown(place: str, platform: str) -> str:
    """A place as people of that system write it."""
    if platform != "win32":
        return _VARIABLE.sub(r"\2", place)
    text = _VARIABLE.sub(lambda match: f"%{match[1]}%" if match[1] == "APPDATA" else match[2], place)
    return re.sub("^~", "%USERPROFILE%", text).replace("/", "\\")


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists() fails in a folder that may not be read


def _resolved(place: str, machine: Machine) -> PurePath:
    text = _VARIABLE.sub(lambda match: machine.environ.get(match[1], "").strip() or match[2], place)
    pure = PureWindowsPath if machine.platform == "win32" else PurePosixPath
    if text == "~" or text.startswith("~/"):
        return pure(machine.home, text[2:])
    return pure(machine.folder, text)
