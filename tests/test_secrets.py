"""No secret and no image data in any result or log, whatever the upstream does with them."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcp_server.emulator import Emulator
from mcp_server.errors import quote
from tests.conftest import KEY, child_environment, data_uri, fault, image_bytes

pytestmark = pytest.mark.anyio


async def test_a_server_at_its_most_talkative_tells_no_secret(emulator: Emulator, tmp_path: Path) -> None:
    picture = data_uri(image_bytes(64, 64))
    bad_picture = data_uri(b"not a picture, but a secret all the same" * 5)
    for status in (400, 401, 403, 404, 429, 500, 503):
        emulator.app.faults.add(
            fault(status=status, message=f"Bearer {KEY} {KEY} {picture}", retry_after="9999")
        )
    emulator.app.faults.add(fault(body=KEY))
    emulator.app.faults.add(fault(drop="after_body"))
    log = tmp_path / "log"
    shown = []
    with log.open("w") as errlog:
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-m", "mcp_server"],
            env=child_environment(
                NOVITA_BASE_URL=emulator.url,
                SEEDREAM_LOG_LEVEL="DEBUG",
                HTTPS_PROXY="http://user:hunter2@127.0.0.1:9",
            ),
        )
        async with Client(stdio_client(parameters, errlog=errlog)) as client:
            for _ in range(10):
                arguments = {"prompt": "x", "images": [picture]}
                shown.append(await client.call_tool("edit_image", arguments))
            shown.append(await client.call_tool("edit_image", {"prompt": "x", "images": [bad_picture]}))
            shown.append(await client.call_tool("edit_image", {"prompt": "x", "images": picture}))
            shown.append(await client.call_tool("generate_image", {"prompt": "x", "size": picture}))
            shown.append(await client.call_tool("generate_image", {"prompt": [picture]}))
            shown.append(await client.call_tool("generate_image", {"prompt": "x", picture: 1}))
            shown.append(await client.call_tool(picture, {}))
    told = log.read_text() + "".join(result.model_dump_json() for result in shown)
    assert sum(not result.is_error for result in shown) == 1
    for secret in (KEY, "hunter2", picture.partition(",")[2][:40], bad_picture.partition(",")[2][:40]):
        assert secret not in told
    for clutter in ("Traceback", "pydantic", "input_value"):
        assert clutter not in told
    assert "call failed" in told


def test_a_wrong_setting_does_not_show_its_value() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mcp_server"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=child_environment(NOVITA_API_KEY=f"{KEY} {KEY}", NOVITA_BASE_URL=f"https://u:{KEY}@x"),
        check=False,
    )
    assert done.returncode == 2
    assert KEY not in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fine", '"fine"'),
        ('say "this"', "\"say 'this'\""),
        ("a\x00b\x1b[0m\u2028c\u202ed", '"a b [0m c d"'),
        (f"the key {KEY}.", '"the key [secret]."'),
        ("data:image/png;base64,AAAA rest", '"[image data] rest"'),
        ("x" * 59, f'"{"x" * 59}"'),
        ("x" * 60, '"[data]"'),
        ("a b " * 200, f'"{("a b " * 200)[:297]}…"'),
    ],
)
def test_foreign_text_is_quoted_in_one_clean_line(text: str, shown: str) -> None:
    assert quote(text, (KEY,)) == shown
    assert len(quote(text, (KEY,))) <= 300


async def test_the_emulator_is_not_told_the_real_key() -> None:
    """With SEEDREAM_EMULATOR=1 the real key, if there is one, stays at home."""
    seen: list[httpx.Request] = []

    class Spy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={"images": ["https://x/a"]})

    from tests.conftest import connect

    async with connect(transport=Spy(), SEEDREAM_EMULATOR="1") as client:
        await client.call_tool("generate_image", {"prompt": "x"})
    assert KEY not in seen[0].headers["authorization"]


def test_no_source_file_holds_a_path_of_one_machine() -> None:
    root = Path(__file__).parent.parent
    pattern = re.compile(r"/(?:home|root|Users)/[a-z]")
    folders = ("mcp_server/**/*.py", "*.md", "client_configs/**/*", "deploy/**/*", "benchmarks/**/*.py")
    for path in (path for folder in folders for path in root.glob(folder) if path.is_file()):
        assert not pattern.search(path.read_text(encoding="utf-8")), path
