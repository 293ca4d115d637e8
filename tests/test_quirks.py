"""What certain hosts break on: a case for each row of the table, through a client of the host's name."""

from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, Implementation

from mcp_server.confirm import Confirmation
from mcp_server.generations import Generations
from mcp_server.quirks import QUIRKS, Breaks, breaks_on
from mcp_server.server import SeedreamServer
from mcp_server.tools import Tools
from tests.conftest import APPS, answering, host, make_settings, pictures, text_of

pytestmark = pytest.mark.anyio

# The names as the hosts send them, by the row that they are for.
NAMES: dict[str, list[tuple[str, str]]] = {
    "Codex": [("codex-mcp-client", "0.150.0"), ("codex-mcp-client (via mcp-remote 0.1.37)", "1")],
    "Kiro": [("Kiro", "0.12.200"), ("Q-DEV-CLI", "1.0.0"), ("Q DEV CLI", "1.0.0")],
    "Roo Code": [("Roo Code", "3.52.1"), ("Roo-Code", "3.52.1")],
    "Cline before 3.45": [("Cline", "3.37.1"), ("Cline", "3")],
    "claude.ai and Claude Desktop, where they draw a view": [
        ("claude-ai", "0.1.0"),
        ("Anthropic/ClaudeAI", "1.0.0"),
    ],
    "Cursor": [("cursor-vscode", "1.0.0")],
    "Claude Cowork": [("local-agent-mode-seedream", "1.0.0")],
}
EVERY_NAME = [(row, name, version) for row, names in NAMES.items() for name, version in names]
OTHERS = [
    ("claude-code", "2.1.261"),
    ("Visual Studio Code", "1.130.0"),
    ("gemini-cli-mcp-client", "1"),
    ("Cline", "3.45.0"),
    ("Cline", "4.0"),
    ("rooster", "1"),
    ("Kirona", "1"),
    ("clinejection", "1"),
    ("", ""),
]
MADE = {"prompt": "x"}


async def blocks(name: str, version: str, *, apps: bool = False, links: str = "auto") -> list[str]:
    """The types of the content blocks that this host gets."""
    network, _ = answering(pictures())
    info = Implementation(name=name, version=version)
    options = {"client_info": info, "mode": "legacy", "extensions": [APPS] if apps else None}
    async with host(options, transport=network, SEEDREAM_RESOURCE_LINKS=links) as client:
        result = await client.call_tool("generate_image", MADE)
        assert result.structured_content["images"][0]["url"] in text_of(result)
        return [block.type for block in result.content]


def test_each_row_names_its_evidence_and_is_tested() -> None:
    assert [quirk.host for quirk in QUIRKS] == list(NAMES)
    assert all("/" in quirk.evidence and len(quirk.evidence) > 40 for quirk in QUIRKS)


@pytest.mark.parametrize(("row", "name", "version"), EVERY_NAME)
async def test_a_host_does_not_get_what_it_breaks_on(row: str, name: str, version: str) -> None:
    (quirk,) = [one for one in QUIRKS if one.host == row]
    known = breaks_on(Implementation(name=name, version=version))
    assert known == {quirk.breaks}
    text_alone, with_link = ["text"], ["text", "resource_link"]
    assert await blocks(name, version) == (text_alone if quirk.breaks == "links" else with_link)
    without_links: set[Breaks] = {"links", "links beside a view"}
    wanted = text_alone if quirk.breaks in without_links else with_link
    assert await blocks(name, version, apps=True) == wanted


@pytest.mark.parametrize(("name", "version"), OTHERS)
async def test_other_hosts_get_everything(name: str, version: str) -> None:
    assert await blocks(name, version, apps=True) == ["text", "resource_link"]


async def test_the_setting_overrides_the_table() -> None:
    assert await blocks("codex-mcp-client", "1", links="always") == ["text", "resource_link"]
    assert await blocks("claude-ai", "1", apps=True, links="always") == ["text", "resource_link"]
    assert await blocks("claude-code", "1", links="never") == ["text"]


async def test_the_host_is_known_in_both_eras(era: str) -> None:
    network, _ = answering(pictures())
    info = Implementation(name="codex-mcp-client", version="1")
    async with host({"client_info": info, "mode": era}, transport=network) as client:
        result = await client.call_tool("generate_image", MADE)
    assert [block.type for block in result.content] == ["text"]


def test_without_a_name_nothing_is_known() -> None:
    assert breaks_on(None) == frozenset()


@pytest.mark.parametrize(("name", "said"), [("cursor-vscode", True), ("claude-code", False)])
async def test_a_question_that_a_host_may_not_show_is_told_as_such(name: str, said: bool) -> None:
    network, requests = answering(pictures())

    async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    options: dict[str, Any] = {
        "client_info": Implementation(name=name, version="1.0.0"),
        "elicitation_callback": never,
        "mode": "legacy",
    }
    settings = make_settings(SEEDREAM_CONFIRM_ABOVE="3")
    batch = {**MADE, "sequential_image_generation": "auto", "max_images": 4}
    async with Generations(settings, transport=network) as service:
        tools = Tools(service, confirmation=Confirmation(3, 0.05))
        async with Client(SeedreamServer(service, tools), **options) as client:
            text = text_of(await client.call_tool("generate_image", batch))
    assert ("never show it" in text) is said
    assert requests == []
