"""The `.mcpb` bundle: packed by the official packer, and launched as a host launches it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from PIL import Image

from bundle.__main__ import FOLDER, pack
from bundle.facts import ROOT
from bundle.manifest import _semantic
from mcp_server import __version__
from mcp_server.environment import ASKED_BY_BUNDLE, left_out, read_settings
from tests.conftest import text_of

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("bundle")]  # packed once

UV = str(Path(sysconfig.get_path("scripts"), "uv"))  # one of the pinned tools
TOOLS = ["generate_image", "edit_image", "list_images"]


@cache
def missing() -> str | None:
    """Why these tests can't run, if they can't."""
    if shutil.which("node") is None:
        return "THE BUNDLE IS NOT TESTED: there is no node on the PATH"
    if not (FOLDER / "node_modules" / ".installed").exists():
        return "THE BUNDLE IS NOT TESTED: its packer is not installed; `make test` does it where npm is"
    return None


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that a host unpacks it to; with a space in its name, as on macOS."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("Application Support")
    pack(folder / "built.mcpb")
    with zipfile.ZipFile(folder / "built.mcpb") as archive:
        archive.extractall(folder / "unpacked")
    yield folder / "unpacked"
    shutil.rmtree(folder)  # with the environment that was made in it


def launch(folder: Path, answers: dict[str, Any]) -> dict[str, Any]:
    """What a host runs, by the official code for it, when the person gave these answers."""
    command = ["node", str(FOLDER / "host.mjs"), str(folder), json.dumps(answers)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True)
    config = json.loads(done.stdout)
    assert isinstance(config, dict)
    return config


@pytest.fixture(scope="module")
def places() -> dict[str, str]:
    """What a bare environment needs here: where packages are. Taken before a test clears its own."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT"))}
    cached = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True)
    return kept | {"UV_CACHE_DIR": cached.stdout.strip(), "UV_PYTHON": sys.executable}


def server(
    folder: Path, answers: dict[str, Any], home: Path, places: dict[str, str]
) -> StdioServerParameters:
    """The same, by a uv of the host's own, in an environment that holds nothing of this one."""
    config = launch(folder, answers)
    bare = {"PATH": os.defpath, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    return StdioServerParameters(command=UV, args=config["args"], env=places | bare | config["env"], cwd=home)


def test_the_bundle_holds_the_program_and_nothing_stray(bundle: Path) -> None:
    held = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    program = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mcp_server").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    made = {name for name in held if name.startswith(".venv/") or name == "uv.lock"}  # by the test below
    assert held - made == program | {"manifest.json", "pyproject.toml", "server.py", "icon.png", "LICENSE"}
    for name in held - made - {"icon.png"}:
        text = (bundle / name).read_text("utf-8")
        assert str(ROOT) not in text
        assert str(Path.home()) + "/" not in text
        assert "/simple" not in text


def test_the_manifest_says_what_the_program_does(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    assert manifest["version"] == __version__
    assert [tool["name"] for tool in manifest["tools"]] == TOOLS
    assert all(len(tool["description"]) > 30 for tool in manifest["tools"])
    assert tuple(manifest["server"]["mcp_config"]["env"]) == ASKED_BY_BUNDLE
    assert not any(question["required"] for question in manifest["user_config"].values())
    assert [name for name, one in manifest["user_config"].items() if one.get("sensitive")] == ["api_key"]
    with Image.open(bundle / manifest["icon"]) as icon:
        assert icon.size == (512, 512)


@pytest.mark.parametrize("version", ["1.0rc1", "2026.11.23.1", "1.0", "v1.0.0"])
def test_a_version_that_would_break_hosts_is_not_packed(version: str) -> None:
    assert _semantic(__version__) == __version__
    with pytest.raises(ValueError, match="three numbers"):
        _semantic(version)


def test_what_a_person_leaves_out_counts_as_unset(bundle: Path) -> None:
    """The official code fills in defaults and leaves other placeholders as they stand; so do hosts."""
    environment = launch(bundle, {})["env"]
    assert left_out(environment) == ["NOVITA_API_KEY", "SEEDREAM_SAVE_DIR", "SEEDREAM_IMAGES_PER_DAY"]
    assert read_settings(environment) == read_settings({})
    whole = {name: f"${{user_config.{name.lower()}}}" for name in ASKED_BY_BUNDLE}  # not even defaults
    assert read_settings(whole) == read_settings({})


async def test_a_host_starts_it_without_any_answer_and_a_call_says_what_is_missing(
    bundle: Path, places: dict[str, str], tmp_path: Path
) -> None:
    async with Client(server(bundle, {}, tmp_path, places)) as client:
        assert client.server_info is not None
        assert client.server_info.version == __version__
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        refused = text_of(await client.call_tool("generate_image", {"prompt": "a fox"}))
    assert refused.startswith("[not_configured]")


async def test_a_host_starts_it_with_every_answer(
    bundle: Path, places: dict[str, str], tmp_path: Path
) -> None:
    answers = {"emulator": True, "save_dir": str(tmp_path / "My Pictures"), "images_per_day": 1}
    async with Client(server(bundle, answers, tmp_path, places)) as client:
        made = await client.call_tool("generate_image", {"prompt": "a fox"})
        refused = text_of(await client.call_tool("generate_image", {"prompt": "a wolf"}))
    saved = Path(made.structured_content["images"][0]["saved_path"])
    assert saved.parent == tmp_path / "My Pictures"
    assert saved.exists()
    assert refused.startswith("[budget_exceeded]")
