"""Each host configuration is parsed, launched as written, and lists the tools."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from mcp_server import __version__
from tests.conftest import running

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "client_configs"
CONFIGS = sorted(FOLDER.glob("*.json"))
REMOTE = sorted((FOLDER / "remote").glob("*.json"))
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


@pytest.fixture(scope="module")
def remote() -> Iterator[str]:
    """The base URL of a server that asks for a token."""
    variables = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": "memory://", "SEEDREAM_HTTP_TOKEN": "a-key"}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        with running("serve", "--transport", "http", "--port", "0", wait_for="listening", **variables) as (
            url,
            _,
        ):
            yield url.removesuffix("/mcp")


@pytest.mark.parametrize("path", REMOTE, ids=lambda path: path.name)
async def test_a_remote_configuration_connects_as_written(path: Path, remote: str) -> None:
    entry = launched(path)
    url = next(entry[name] for name in ("url", "httpUrl") if name in entry)
    assert url.endswith("/sse" if ".sse." in path.name else "/mcp")
    assert entry.get("type", "x") in ("x", "sse" if ".sse." in path.name else "http")
    kind, _, token = entry["headers"]["Authorization"].partition(" ")
    headers = {"Authorization": f"{kind} {filled_in(token)}"}
    address = url.replace("https://images.example.com", remote)
    async with AsyncExitStack() as stack:
        if ".sse." in path.name:
            server = sse_client(address, headers=headers)
        else:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers))
            server = streamable_http_client(address, http_client=http)
        client = await stack.enter_async_context(Client(server))
        assert len((await client.list_tools()).tools) == 3


def filled_in(value: str) -> str:
    """What a host hands over: its own placeholder form, replaced."""
    return re.sub(r"^(\$\{(env:|input:)?[A-Za-z_-]+(:-)?\}|\$[A-Z_]+|your-token)$", "a-key", value)


def test_every_host_that_the_readme_names_has_a_file() -> None:
    rows = re.findall(r"^\| `[^|]+", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+\.json)`", row)]
    assert sorted(named) == sorted(path.name for path in (*CONFIGS, *REMOTE))


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
    for path in (FOLDER / "remote").glob("vscode.*"):
        (declared,) = json.loads(path.read_text("utf-8"))["inputs"]
        assert declared["password"] is True
        assert launched(path)["headers"]["Authorization"] == f"Bearer ${{input:{declared['id']}}}"
