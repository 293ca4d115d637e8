"""Each host configuration is parsed, launched as written, and lists the tools."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from mcp_server import __version__

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "client_configs"
CONFIGS = sorted(FOLDER.glob("*.json"))
SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="module")
def uv_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands in for the published package: the wheel of this checkout, found by uv's own variable."""
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT"))}
    return kept | {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "UV_FIND_LINKS": str(dist),
        "UV_PYTHON": sys.executable,
        "UV_NO_PROGRESS": "1",
    }


def launched(path: Path) -> dict[str, Any]:
    """The one entry, whatever the host calls their list."""
    config = json.loads(path.read_text("utf-8"))
    (entry,) = (config.get("mcpServers") or config["servers"]).values()
    assert isinstance(entry, dict)
    return entry


def filled_in(value: str) -> str:
    """What a host hands over: its own placeholder form, replaced."""
    return re.sub(r"^\$\{(env:|input:)?[A-Za-z_-]+(:-)?\}$", "a-key", value)


def test_every_host_that_the_readme_names_has_a_file() -> None:
    named = re.findall(r"^\| `([^`]+\.json)`", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == [path.name for path in CONFIGS]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
async def test_a_configuration_starts_the_server_as_written(
    path: Path, uv_environment: dict[str, str]
) -> None:
    entry = launched(path)
    assert entry["command"] == "uvx"
    environment = {name: filled_in(value) for name, value in entry["env"].items()}
    assert "${" not in "".join(environment.values())
    command = shutil.which(entry["command"], path=uv_environment["PATH"])
    assert command is not None, "uv is one of the pinned tools"
    parameters = StdioServerParameters(command=command, args=entry["args"], env=uv_environment | environment)
    async with Client(parameters) as client:
        assert client.server_info is not None
        assert client.server_info.version == __version__
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == ["generate_image", "edit_image", "list_images"]


def test_the_inputs_of_vs_code_are_the_ones_that_are_used() -> None:
    config = json.loads((FOLDER / "vscode.mcp.json").read_text("utf-8"))
    (declared,) = config["inputs"]
    assert declared["password"] is True
    assert launched(FOLDER / "vscode.mcp.json")["env"]["NOVITA_API_KEY"] == f"${{input:{declared['id']}}}"
