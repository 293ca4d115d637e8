"""The TypeScript SDK's clients, older and newer, against a real server over both transports."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.emulator import Emulator
from tests.conftest import running

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "typescript"
OLDEST_NODE = 20


@cache
def missing() -> str | None:
    """Why these tests can't run, if they can't."""
    if (node := shutil.which("node")) is None:
        return "THE TYPESCRIPT CLIENTS ARE NOT TESTED: there is no node on the PATH"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        return f"THE TYPESCRIPT CLIENTS ARE NOT TESTED: node is {version}, they need {OLDEST_NODE}"
    if not (FOLDER / "node_modules" / ".installed").exists():
        return (
            "THE TYPESCRIPT CLIENTS ARE NOT TESTED: they are not installed; `make test` does it where npm is"
        )
    return None


async def seen(*arguments: str) -> dict[str, Any]:
    """What the client saw, by step."""
    with anyio.fail_after(30):
        done = await anyio.run_process(["node", str(FOLDER / "client.mjs"), *arguments], check=False)
    assert done.returncode == 0, done.stderr.decode()
    return {line["step"]: line for line in map(json.loads, done.stdout.decode().splitlines())}


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("sdk", ["1", "2"])
async def test_the_typescript_sdks_clients_get_all_that_ours_gets(
    sdk: str, transport: str, emulator: Emulator, tmp_path: Path
) -> None:
    if reason := missing():
        pytest.skip(reason)
    emulator.app._latency = 0.3
    arguments = ("serve", "--transport", transport, "--port", "0")
    variables = {
        "NOVITA_BASE_URL": emulator.url,
        "SEEDREAM_STORE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    with running(*arguments, wait_for="listening on", **variables) as (url, _):
        saw = await seen(sdk, transport, url)

    assert saw["connected"]["server"]["name"] == "mcp-server-seedream"
    assert saw["tools"]["names"] == ["generate_image", "edit_image", "list_images"]

    heard = [one["progress"] for one in saw["generated"]["heard"]]
    assert heard[0] == 0
    assert heard == sorted(set(heard))
    assert "1 image" in saw["generated"]["heard"][-1]["message"]
    made = saw["generated"]["result"]
    link = made["structuredContent"]["images"][0]["url"]
    assert link in made["content"][0]["text"]
    assert made["content"][1] | {"uri": link} == made["content"][1]

    assert saw["edited"]["result"]["structuredContent"]["requested"]["images"] == [link]
    assert saw["refused"]["result"]["isError"] is True
    assert saw["refused"]["result"]["content"][0]["text"].startswith("[invalid_argument] size:")
    assert saw["read"] == {"step": "read", "type": "image/jpeg", "start": "/9j/"}  # as a JPEG begins

    assert "enough" in saw["cancelled"]["outcome"]
    assert saw["repeated"]["result"]["structuredContent"]["recovered"] is True
    assert emulator.app.store.billed_requests == 3  # generated, edited, and one for both of the last two


def test_the_lock_file_holds_hashes_and_no_registrys_address() -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    locked = [package for name, package in packages.items() if name]
    assert all("integrity" in package and "resolved" not in package for package in locked)
