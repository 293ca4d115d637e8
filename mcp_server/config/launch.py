"""The command that starts this program from anywhere, whatever `PATH` a host has."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from mcp_server.config.shapes import PUBLISHED

_SCRIPT = "mcp-server-seedream"


def own_command(
    environ: Mapping[str, str], prefix: str = sys.prefix, executable: str = sys.executable
) -> tuple[str, list[str]]:
    """The command and its arguments: uvx where uvx runs this, else what is installed.

    uvx runs it in a cache that may be cleaned at any time, so that no path in there will do.
    """
    if any((folder / "CACHEDIR.TAG").exists() for folder in Path(prefix).parents):
        command, args = PUBLISHED
        return _uvx(environ) or command, list(args)
    scripts = Path(executable).parent
    for name in (_SCRIPT, f"{_SCRIPT}.exe"):
        if (scripts / name).is_file():
            return str(scripts / name), []
    return executable, ["-m", "mcp_server"]


def _uvx(environ: Mapping[str, str]) -> str | None:
    """Beside the uv that says it runs this; else what `PATH` has."""
    uv = Path(environ.get("UV", "") or "uv")
    beside = uv.with_name(uv.name.replace("uv", "uvx", 1))
    return str(beside) if beside.is_absolute() and beside.is_file() else shutil.which("uvx")
