"""A real server process over stdio, as a host runs it."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import INVALID_PARAMS, PromptReference, TextContent

from mcp_server.emulator import Emulator
from tests.conftest import INITIALIZE, KEY, child_environment, data_uri, image_bytes, posix, text_of

pytestmark = pytest.mark.anyio

LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def stdio(**variables: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_server"], env=child_environment(**variables)
    )


def raw(lines: list[bytes], cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A server that is sent `lines`, and then end of file."""
    return subprocess.run(
        [sys.executable, "-m", "mcp_server"],
        input=b"".join(line + b"\n" for line in lines),
        capture_output=True,
        env=child_environment(**variables),
        cwd=cwd,
        timeout=60,
        check=False,
    )


def encoded(*messages: dict[str, Any]) -> list[bytes]:
    return [json.dumps(message).encode() for message in messages]


async def test_both_tools_work_in_both_eras(era: str, emulator: Emulator) -> None:
    async with Client(stdio(NOVITA_BASE_URL=emulator.url), mode=era) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        made = await client.call_tool("generate_image", {"prompt": "a fox"})
        link = made.structured_content["images"][0]["url"]
        edited = await client.call_tool("edit_image", {"prompt": "a wolf", "images": [link]})
    assert names == ["generate_image", "edit_image", "list_images"]
    assert not edited.is_error
    assert edited.structured_content["requested"]["images"] == [link]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_gets_instructions_icons_and_prompts(mode: str, emulator: Emulator) -> None:
    restyle = PromptReference(type="ref/prompt", name="restyle")
    async with Client(stdio(NOVITA_BASE_URL=emulator.url), mode=mode) as client:
        assert "generate_image draws from words" in str(client.instructions)
        assert client.server_info is not None
        assert client.server_info.icons
        assert all(tool.icons for tool in (await client.list_tools()).tools)
        assert "restyle" in [prompt.name for prompt in (await client.list_prompts()).prompts]
        made = await client.call_tool("generate_image", {"prompt": "a fox"})
        link = made.structured_content["images"][0]["url"]
        offered = await client.complete(restyle, {"name": "image", "value": "http"})
        got = await client.get_prompt("restyle", {"image": link, "style": "woodcut"})
        with pytest.raises(MCPError, match="style: is required") as raised:
            await client.get_prompt("restyle", {"image": link})
    assert link in offered.completion.values
    assert isinstance(got.messages[0].content, TextContent)
    assert f'- images: ["{link}"]' in got.messages[0].content.text
    assert raised.value.code == INVALID_PARAMS


async def test_bad_calls_are_answered_and_the_process_lives_on(emulator: Emulator) -> None:
    url = "https://example.com/a.png"
    too_large = data_uri(image_bytes(64, 64, padding=15 * 1024**2))
    async with Client(stdio(NOVITA_BASE_URL=emulator.url)) as client:
        wrong: list[tuple[str, dict[str, Any], str]] = [
            ("generate_image", {"prompt": "  "}, "invalid_argument"),
            ("edit_image", {"prompt": "x", "images": [url] * 11}, "invalid_argument"),
            ("edit_image", {"prompt": "x", "images": [too_large]}, "image_unusable"),
        ]
        for tool, arguments, code in wrong:
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert text_of(result).startswith(f"[{code}]")
        result = await client.call_tool("generate_image", {"prompt": "word " * 10_000})
    assert not result.is_error
    assert "10,000 words" in text_of(result)
    assert emulator.app.store.billed_requests == 1


async def test_progress_comes_within_five_seconds_and_again(emulator: Emulator) -> None:
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert message is not None
        assert total is None
        heard.append(progress)

    emulator.app._latency = 3.2
    async with Client(stdio(NOVITA_BASE_URL=emulator.url)) as client:
        await client.call_tool("generate_image", {"prompt": "x"}, progress_callback=listen)
    assert len(heard) >= 2
    assert heard[0] < 1
    assert heard[-1] > 2
    assert all(later - earlier < 5 for earlier, later in pairwise(heard))


async def test_sixteen_calls_at_once_take_as_long_as_one(emulator: Emulator) -> None:
    emulator.app._latency = 1.0
    async with Client(stdio(NOVITA_BASE_URL=emulator.url)) as client:
        await client.list_tools()
        with anyio.fail_after(12):  # one after the other they would take 16 s
            async with anyio.create_task_group() as tasks:
                for _ in range(16):
                    tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
    assert emulator.app.store.billed_requests == 16


def test_garbage_lines_do_no_harm_and_stdout_carries_only_the_protocol() -> None:
    garbage = [b"", b"hello", b"{", b"[]", b"null", b'{"jsonrpc":"1.0"}', b"\xff\xfe\x00", b"[" * 10_000]
    done = raw([*garbage, *encoded(INITIALIZE), *garbage, *encoded(LIST)])
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(reply["jsonrpc"] == "2.0" for reply in replies)
    assert {"generate_image", "edit_image", "list_images"} == {
        tool["name"] for reply in replies if reply.get("id") == 2 for tool in reply["result"]["tools"]
    }
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


def test_the_protocol_version_of_the_handshake_is_the_clients() -> None:
    done = raw(encoded(INITIALIZE, LIST))
    first = json.loads(done.stdout.splitlines()[0])
    assert first["result"]["protocolVersion"] == "2025-06-18"
    assert first["result"]["serverInfo"]["name"] == "mcp-server-seedream"


def test_end_of_input_ends_the_process_with_zero() -> None:
    done = raw([])
    assert (done.returncode, done.stdout) == (0, b"")


@posix
def test_ctrl_c_ends_it_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"".join(line + b"\n" for line in encoded(INITIALIZE)))
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (0, -signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.skipif(os.name == "nt", reason="a POSIX path")
def test_it_starts_in_the_root_folder_as_some_hosts_have_it() -> None:
    done = raw(encoded(INITIALIZE, LIST), cwd=Path("/"))
    assert b"generate_image" in done.stdout


def test_a_wrong_setting_is_one_clear_line_and_exit_code_two() -> None:
    done = raw(encoded(INITIALIZE), NOVITA_API_KEY="${NOVITA_API_KEY}")
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert line.startswith("mcp-server-seedream: NOVITA_API_KEY holds a placeholder")


def test_a_misspelt_setting_is_named_in_the_log() -> None:
    assert b"SEEDREAM_WATERMRAK is set, but" in raw([], SEEDREAM_WATERMRAK="1").stderr


async def test_without_a_key_it_starts_and_lists(era: str) -> None:
    async with Client(stdio(NOVITA_API_KEY=""), mode=era) as client:
        assert len((await client.list_tools()).tools) == 3
        assert "[not_configured]" in text_of(await client.call_tool("generate_image", {"prompt": "x"}))


async def test_the_embedded_emulator_needs_nothing_else(era: str) -> None:
    async with Client(stdio(NOVITA_API_KEY="", SEEDREAM_EMULATOR="1"), mode=era) as client:
        result = await client.call_tool("generate_image", {"prompt": "x", "preview": True})
    assert result.structured_content["emulated"] is True
    assert [block.type for block in result.content] == ["text", "resource_link", "image"]


NOT_NEEDED_TO_LIST = (
    "mcp_server.generations.sqlite",
    "filelock",
    "httpx",
    "PIL",
    "mcp_server.client",
    "mcp_server.emulator",
    "mcp_server.pictures",
)


def test_listing_the_tools_imports_nothing_that_only_calls_need() -> None:
    code = (
        "import sys, anyio\n"
        "from mcp import Client\n"
        "from mcp_server.cli import main\n"
        "from mcp_server.stdio import Generations, SeedreamServer\n"
        "from mcp_server.environment import read_settings\n"
        "async def run():\n"
        "    async with Generations(read_settings({})) as generations:\n"
        "        async with Client(SeedreamServer(generations)) as client:\n"
        "            await client.list_tools()\n"
        "anyio.run(run)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=child_environment(), check=True
    )
    assert not set(NOT_NEEDED_TO_LIST) & set(done.stdout.split())
    assert KEY not in done.stdout
