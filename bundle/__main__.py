"""`python -m bundle`: the bundle, packed and checked by the official packer."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bundle.facts import NAME, ROOT
from bundle.manifest import ENTRY, ICON, manifest, project
from mcp_server import __version__

FOLDER = Path(__file__).parent
PACKER = FOLDER / "node_modules" / "@anthropic-ai" / "mcpb" / "dist" / "cli" / "cli.js"
FILE = ROOT / "dist" / f"{NAME}-{__version__}.mcpb"


def stage(folder: Path) -> None:
    """Put everything that the bundle holds into `folder`."""
    with tempfile.TemporaryDirectory() as built:
        # The wheel's files are those that are published, whatever else lies about in a checkout.
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = Path(built).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith("mcp_server/")]
            archive.extractall(folder, names)
    for name in (FOLDER / ENTRY, FOLDER / ICON, ROOT / "LICENSE"):
        shutil.copyfile(name, folder / name.name)
    (folder / "manifest.json").write_text(json.dumps(asyncio.run(manifest()), indent=2), "utf-8")
    (folder / "pyproject.toml").write_text(project(), "utf-8")


def pack(target: Path) -> None:
    """Write the bundle. The packer refuses a manifest that is not valid."""
    if not PACKER.exists():
        sys.exit("the packer is not installed: `make bundle` does it, where npm is")
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        target.unlink(missing_ok=True)
        subprocess.run(["node", str(PACKER), "pack", folder, str(target)], check=True)


if __name__ == "__main__":
    pack(FILE)
