"""What `make dist` built: what is in it, and that it works where nothing else is, no checkout either."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from readme_renderer import markdown
from uv import find_uv_bin

from mcp_server import __version__

pytestmark = pytest.mark.dist

TOP = Path(__file__).parent.parent
KINDS = {".py", ".typed", ".lua", ".html", ".css", ".js"}
OUTSIDE = dict(os.environ)
"""The environment, with the proxy and CA that a package index may need here, which tests else do without."""

BESIDE = {"PKG-INFO", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"}


@pytest.fixture
def wheel() -> Path:
    (found,) = (TOP / "dist").glob("*.whl")
    return found


@pytest.fixture
def metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"mcp_server_seedream-{__version__}.dist-info/METADATA")


def sources() -> set[str]:
    """The package's files, those included that are no modules."""
    files = {path for path in (TOP / "mcp_server").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    return {path.relative_to(TOP).as_posix() for path in files}


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert names == sources()
    assert {Path(name).suffix for name in names} == KINDS
    assert "mcp_server/py.typed" in names
    assert licences


def test_the_sdist_holds_no_stray_file() -> None:
    (sdist,) = (TOP / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names == sources() | BESIDE


def test_package_indexes_take_the_metadata_and_render_the_readme(metadata: bytes) -> None:
    assert Metadata.from_email(metadata, validate=True).name == "mcp-server-seedream"
    readme = message_from_bytes(metadata).get_payload()
    assert isinstance(readme, str)
    page = markdown.render(readme)
    assert page is not None
    headings = set(re.findall(r'<h\d id="([^"]+)"', page))
    assert headings
    assert set(re.findall(r'href="#([^"]+)"', page)) <= headings
    assert "<table>" in page


def test_the_wheel_runs_the_demo_with_its_dependencies_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    def run(*command: str | Path, env: dict[str, str]) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=env, timeout=80, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    uv, folder = find_uv_bin(), tmp_path / "environment"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(f"mcp-server-seedream @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    pins = ("--require-hashes", "--constraint", TOP / "requirements.txt", "--requirement", wanted)
    run(uv, "venv", "--quiet", folder, "--python", sys.executable, env=OUTSIDE)
    run(uv, "pip", "install", "--quiet", "--python", folder, *pins, env=OUTSIDE)

    clean = {"HOME": str(tmp_path), "PATH": os.defpath}
    program = folder / "bin" / "mcp-server-seedream"
    assert run(program, "--version", env=clean).split() == ["mcp-server-seedream", __version__]
    printed = run(program, "demo", "--folder", tmp_path / "pictures", "--latency", "0.2", env=clean)
    assert f"5 pictures in {tmp_path / 'pictures'}" in printed
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 5
