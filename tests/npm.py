"""What npm installed for a test, and the Node that runs it."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

Version = tuple[int, int]


def node(folder: Path, oldest: Version, install: str) -> str:
    """The Node for what is installed in `folder`: its own, or else the system's if that is new enough.

    Where something is missing, the test is skipped, and says so; `install` is the command that helps.
    """
    if not (folder / "node_modules" / ".installed").exists():
        pytest.skip(f"NOT TESTED: {folder.name} is not installed; `{install}` does it where npm is")
    own = map(str, folder.glob("node_modules/node-*/bin/node"))
    found = [program for program in (*own, shutil.which("node")) if program]
    for program in found:
        if version(program) >= oldest:
            return program
    wanted = ".".join(map(str, oldest))
    pytest.skip(f"NOT TESTED: {folder.name} needs Node {wanted} or newer; on this machine: {found or 'none'}")


@cache
def version(program: str) -> Version:
    """The first two numbers of a Node's version."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor, *_ = said.strip().removeprefix("v").split(".")
    return int(major), int(minor)


def unpinned(folder: Path) -> list[str]:
    """The packages in the folder's lock file that have no hash, or a registry's address."""
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    return [
        name
        for name, package in packages.items()
        if name and ("integrity" not in package or "resolved" in package)
    ]
