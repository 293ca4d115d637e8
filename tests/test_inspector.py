"""The MCP Inspector's command line, against real servers over all three transports."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server import __version__
from mcp_server.emulator import Emulator
from tests.conftest import KEY, running
from tests.npm import node

pytestmark = [pytest.mark.anyio, pytest.mark.conformance]

FOLDER = Path(__file__).parent / "conformance"
INSPECTOR = FOLDER / "node_modules" / "@modelcontextprotocol" / "inspector"
IS_ERROR = 5
"""The Inspector's exit code for a tool that answers with an error."""


class Inspector:
    """The Inspector's command line for one server, in one of the protocol's eras."""

    def __init__(self, target: list[str], era: str, home: Path) -> None:
        program = node(FOLDER, (22, 19), "make conformance")
        self._start = [program, str(INSPECTOR / "clients" / "launcher" / "build" / "index.js"), "--cli"]
        self._target = [*target, "--protocol-era", era, "--format", "json"]
        self._home = home

    async def says(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What it prints for a method, and the method's arguments."""
        with anyio.fail_after(30):
            done = await anyio.run_process(
                [*self._start, *self._target, "--method", *arguments],
                env={"HOME": str(self._home)},  # it keeps files there
                check=False,
            )
        assert done.returncode == code, done.stderr.decode()
        result: dict[str, Any] = json.loads(done.stdout)["result"]
        return result


@contextmanager
def target(transport: str, **variables: str) -> Iterator[list[str]]:
    """What the Inspector connects to: the command of a server, or the URL of one that runs."""
    if transport == "stdio":
        settings = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        yield [sys.executable, "-m", "mcp_server", *settings]
        return
    arguments = ("serve", "--transport", transport, "--port", "0")
    with running(*arguments, wait_for="listening on", **variables) as (url, _):
        yield [url]


@pytest.mark.parametrize(
    ("transport", "era"),
    [("stdio", "legacy"), ("stdio", "modern"), ("sse", "legacy"), ("http", "legacy"), ("http", "modern")],
)
async def test_the_inspector_gets_all_that_there_is(
    transport: str, era: str, emulator: Emulator, tmp_path: Path
) -> None:
    variables = {
        "NOVITA_API_KEY": KEY,
        "NOVITA_BASE_URL": emulator.url,
        # Over stdio each method has a server of its own: what they share is the ledger.
        "SEEDREAM_STORE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    with target(transport, **variables) as where:
        says = Inspector(where, era, tmp_path).says

        server = (await says("initialize"))["serverInfo"]
        assert (server["name"], server["version"]) == ("mcp-server-seedream", __version__)

        tools = await says("tools/list", "--strict")  # fails on schemas that are not portable
        assert [tool["name"] for tool in tools["tools"]] == ["generate_image", "edit_image", "list_images"]

        made = await says("tools/call", "--tool-name", "generate_image", "--tool-arg", "prompt=a fox")
        link = made["structuredContent"]["images"][0]["url"]
        assert link in made["content"][0]["text"]
        assert link in [block.get("uri") for block in made["content"]]

        wrong = ("--tool-name", "generate_image", "--tool-args-json", '{"prompt": "a fox", "size": "1x1"}')
        refused = await says("tools/call", *wrong, code=IS_ERROR)
        assert refused["content"][0]["text"].startswith("[invalid_argument] size:")

        listed = await says("resources/list")
        (recent,) = [one["uri"] for one in listed["resources"] if one["name"] == "generations"]
        (rows,) = (await says("resources/read", "--uri", recent))["contents"]
        assert [row["generation_id"] for row in json.loads(rows["text"])] == [
            made["structuredContent"]["generation_id"]
        ]

        templates = (await says("resources/templates/list"))["resourceTemplates"]
        (picture,) = [one["uriTemplate"] for one in templates if one["name"] == "picture"]
        uri = picture.replace("{id}", made["structuredContent"]["generation_id"]).replace("{n}", "1")
        (read,) = (await says("resources/read", "--uri", uri))["contents"]
        assert (read["mimeType"], read["blob"][:4]) == ("image/jpeg", "/9j/")  # as a JPEG begins

        prompt = (await says("prompts/list"))["prompts"][0]
        required = [one["name"] for one in prompt["arguments"] if one.get("required")]
        given = [word for name in required for word in ("--prompt-args", f"{name}=a fox")]
        got = await says("prompts/get", "--prompt-name", prompt["name"], *given)
        assert "a fox" in got["messages"][0]["content"]["text"]
    assert emulator.app.store.billed_requests == 1
