"""Each host's configuration is the one of the table, is launched as written, and lists the tools.

How a host reads its file stands here once more, from its documents: one mistake can't hide on both sides.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
import yaml
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from mcp_server import __version__
from tests import configs
from tests.conftest import running

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
FOLDER = configs.FOLDER
SUFFIXES = (".json", ".toml", ".yaml")
LOCAL = sorted(path for path in FOLDER.iterdir() if path.suffix in SUFFIXES)
REMOTE = sorted((FOLDER / "remote").iterdir())
SCRIPTS = Path(sysconfig.get_path("scripts"))
TOOLS = ["generate_image", "edit_image", "list_images"]
SECRET = "a-key"

KEYS = {
    "vscode": ("servers",),
    "visual_studio": ("servers",),
    "zed": ("context_servers",),
    "codex": ("mcp_servers",),
    "goose": ("extensions",),
    "opencode": ("mcp", "servers"),
}
"""Where a host's servers are; else under `mcpServers`."""

VARIABLES = {
    "claude_code": r"\$\{(\w+)(?::-[^}]*)?\}",
    "cursor": r"\$\{env:(\w+)\}",
    "vscode": r"\$\{input:([\w-]+)\}",
    "visual_studio": r"\$\{input:([\w-]+)\}",
    "windsurf": r"\$\{env:(\w+)\}",
    "gemini_cli": r"\$(\w+)",
    "roo": r"\$\{env:(\w+)\}",
    "goose": r"\$\{(\w+)\}",
    "continue": r"\$\{\{ secrets\.(\w+) \}\}",
    "kiro": r"\$\{(\w+)\}",
    "opencode": r"\{env:(\w+)\}",
    "warp": r"\$\{(\w+)\}",
}
"""What a host fills in; in the files of others a person writes the secret in place of `your-...`."""

KINDS = {
    "claude_code": ("type", "http", "sse"),
    "vscode": ("type", "http", "sse"),
    "visual_studio": ("type", "http", "sse"),
    "devin": ("transport", "http", "sse"),
    "cline_mcp_settings": ("type", "streamableHttp", "sse"),
    "roo": ("type", "streamable-http", "sse"),
    "goose": ("type", "streamable_http", ""),
    "continue": ("type", "streamable-http", "sse"),
    "gemini_cli": ("type", "", "sse"),
    "opencode": ("type", "remote", ""),
}
"""How a host is told of the transport: by which key, for HTTP, for SSE; others see it by the address."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a host that has next to none: on its PATH is uv, and what every system has.

    What stands in for the published package is the wheel of this checkout, found by uv's own variable.
    """
    dist, path, home = (tmp_path_factory.mktemp(name) for name in ("dist", "bin", "home"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in ("uv", "uvx"):
        program = shutil.which(name, path=SCRIPTS)
        assert program, "uv is one of the pinned tools"
        (path / name).symlink_to(program)
    cache = subprocess.run([str(path / "uv"), "cache", "dir"], check=True, capture_output=True, text=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT"))}
    return {
        "UV_CACHE_DIR": cache.stdout.strip(),
        **kept,
        "HOME": str(home),
        "PATH": f"{path}{os.pathsep}{os.defpath}",  # uv's own scripts need what every system has
        "UV_FIND_LINKS": str(dist),
        "UV_PYTHON": sys.executable,
        "UV_NO_PROGRESS": "1",
    }


@pytest.fixture(scope="module")
def listed() -> dict[str, list[str]]:
    """The tools by command and variables: what most hosts start alike is started once."""
    return {}


@pytest.fixture(scope="module")
def remote() -> Iterator[str]:
    """The base URL of a server that asks for a token."""
    variables = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": "memory://", "SEEDREAM_HTTP_TOKEN": SECRET}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        with running("serve", "--transport", "http", "--port", "0", wait_for="listening", **variables) as (
            url,
            _,
        ):
            yield url.removesuffix("/mcp")


def stem(path: Path) -> str:
    return path.name.partition(".")[0]


def parsed(path: Path) -> Any:
    text = path.read_text("utf-8")
    if path.suffix == ".toml":
        return tomllib.loads(text)
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def entry_of(path: Path) -> dict[str, Any]:
    """The one entry, as the host finds it."""
    servers = parsed(path)
    for key in KEYS.get(stem(path), ("mcpServers",)):
        servers = servers[key]
    (entry,) = servers if isinstance(servers, list) else servers.values()
    assert isinstance(entry, dict)
    return entry


def filled_in(path: Path, value: str) -> str:
    """What the host hands over once the secret is where its file says that it is."""
    if pattern := VARIABLES.get(stem(path)):
        value = re.sub(pattern, SECRET, value)
    else:
        value = re.sub(r"your-(token|novita-api-key)", SECRET, value)
    assert not re.search(r"[${}]|your", value)
    return value


def environment_of(path: Path, entry: dict[str, Any]) -> dict[str, str]:
    """The variables that the host starts the server with."""
    written = entry.get("env") or entry.get("environment") or {}
    named = [*entry.get("env_vars", ()), *entry.get("env_keys", ())]
    return {name: filled_in(path, value) for name, value in written.items()} | dict.fromkeys(named, SECRET)


def command_of(entry: dict[str, Any]) -> list[str]:
    command = entry.get("command") or entry["cmd"]
    return command if isinstance(command, list) else [command, *entry["args"]]


def headers_of(path: Path, entry: dict[str, Any]) -> dict[str, str]:
    if "bearer_token_env_var" in entry:
        assert entry["bearer_token_env_var"] == "SEEDREAM_HTTP_TOKEN"
        return {"Authorization": f"Bearer {SECRET}"}
    headers = entry.get("headers") or entry["requestOptions"]["headers"]
    return {name: filled_in(path, value) for name, value in headers.items()}


def test_every_file_is_the_one_that_the_program_makes() -> None:
    made = {path.relative_to(FOLDER).as_posix(): path.read_text("utf-8") for path in (*LOCAL, *REMOTE)}
    assert made == configs.files(), "run `make configs`"


def test_the_tables_of_its_readme_are_the_ones_that_the_program_gives() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert configs.written(text) == text, "run `make configs`"


@pytest.mark.parametrize("path", LOCAL, ids=lambda path: path.name)
async def test_a_configuration_starts_the_server_as_written(
    path: Path, clean: dict[str, str], listed: dict[str, list[str]]
) -> None:
    entry = entry_of(path)
    environment = environment_of(path, entry)
    assert environment == {"NOVITA_API_KEY": SECRET}
    launch = json.dumps([command_of(entry), environment])
    if launch not in listed:
        listed[launch] = await tools_of(command_of(entry), clean | environment)
    assert listed[launch] == TOOLS


async def tools_of(command: list[str], environment: dict[str, str]) -> list[str]:
    """What the server that a host starts by `command` lists."""
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None
    parameters = StdioServerParameters(command=program, args=command[1:], env=environment)
    async with Client(parameters) as client:
        assert client.server_info is not None
        assert client.server_info.version == __version__
        return [tool.name for tool in (await client.list_tools()).tools]


async def test_what_uvx_prints_starts_the_server_where_uvx_is_not_on_the_path(clean: dict[str, str]) -> None:
    command = [
        shutil.which("uvx", path=clean["PATH"]) or "",
        "mcp-server-seedream",
        "config",
        "claude-desktop",
    ]
    printed = await anyio.run_process(command, env=clean)
    entry = json.loads(printed.stdout)["mcpServers"]["seedream"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"] == ["mcp-server-seedream"]
    bare = clean | {"PATH": os.defpath, "NOVITA_API_KEY": SECRET}
    assert await tools_of(command_of(entry), bare) == TOOLS


@pytest.mark.parametrize("path", REMOTE, ids=lambda path: path.name)
async def test_a_remote_configuration_connects_as_written(path: Path, remote: str) -> None:
    entry, sse = entry_of(path), ".sse." in path.name
    key, over_http, over_sse = KINDS.get(stem(path), ("", "", ""))
    assert entry.get(key, "") == (over_sse if sse else over_http)
    (url,) = (entry[name] for name in ("url", "httpUrl", "serverUrl", "uri") if name in entry)
    if stem(path) == "gemini_cli":
        assert ("url" if sse else "httpUrl") in entry
    assert url == "https://images.example.com" + ("/sse" if sse else "/mcp")
    address, headers = url.replace("https://images.example.com", remote), headers_of(path, entry)
    async with AsyncExitStack() as stack:
        if sse:
            server = sse_client(address, headers=headers)
        else:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers))
            server = streamable_http_client(address, http_client=http)
        client = await stack.enter_async_context(Client(server))
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS


@pytest.mark.parametrize(
    "path", [*FOLDER.glob("v*"), *(FOLDER / "remote").glob("v*")], ids=lambda path: path.name
)
def test_what_is_asked_for_is_what_is_used(path: Path) -> None:
    (declared,) = parsed(path)["inputs"]
    assert declared["type"] == "promptString"
    assert declared["password"] is True
    assert f"${{input:{declared['id']}}}" in json.dumps(entry_of(path))


def test_the_link_for_cursor_holds_its_configuration() -> None:
    parts = urlsplit(configs.cursor_link())
    query = parse_qs(parts.query, strict_parsing=True)
    assert parts[:3] == ("https", "cursor.com", "/en/install-mcp")
    assert query.keys() == {"name", "config"}
    assert query["name"] == ["seedream"]
    config = json.loads(base64.b64decode(query["config"][0], validate=True))
    assert config == entry_of(FOLDER / "cursor.mcp.json")


def test_the_link_for_vs_code_holds_its_configuration() -> None:
    parts = urlsplit(configs.vscode_link())
    query = parse_qs(parts.query, strict_parsing=True)
    assert parts[:3] == ("https", "insiders.vscode.dev", "/redirect/mcp/install")
    assert query.keys() == {"name", "inputs", "config"}
    whole = {
        "inputs": json.loads(query["inputs"][0]),
        "servers": {query["name"][0]: json.loads(query["config"][0])},
    }
    assert whole == parsed(FOLDER / "vscode.mcp.json")
