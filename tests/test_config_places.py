"""Where hosts keep their files on each system, and what starts this program."""

from pathlib import Path

import pytest

from mcp_server.config.launch import own_command
from mcp_server.config.places import Machine, places_of, shown
from mcp_server.config.table import BY_ID, HOSTS

WINDOWS = Machine("win32", r"C:\Users\me", r"D:\work", {"APPDATA": r"C:\Users\me\AppData\Roaming"})
MAC = Machine("darwin", "/Users/me", "/work", {"XDG_CONFIG_HOME": "/ignored"})
LINUX = Machine("linux", "/home/me", "/work", {})


@pytest.mark.parametrize(
    ("machine", "host", "place"),
    [
        (MAC, "claude-desktop", "/Users/me/Library/Application Support/Claude/claude_desktop_config.json"),
        (LINUX, "claude-desktop", "/home/me/.config/Claude/claude_desktop_config.json"),
        (WINDOWS, "claude-desktop", r"C:\Users\me\AppData\Roaming\Claude\claude_desktop_config.json"),
        (WINDOWS, "cursor", r"C:\Users\me\.cursor\mcp.json"),
        (WINDOWS, "claude-code", r"D:\work\.mcp.json"),
        (MAC, "vscode", "/Users/me/Library/Application Support/Code/User/mcp.json"),
        (WINDOWS, "vscode", r"C:\Users\me\AppData\Roaming\Code\User\mcp.json"),
        (WINDOWS, "visual-studio", r"C:\Users\me\.mcp.json"),
        (MAC, "zed", "/Users/me/.config/zed/settings.json"),
        (WINDOWS, "zed", r"C:\Users\me\AppData\Roaming\Zed\settings.json"),
        (WINDOWS, "goose", r"C:\Users\me\AppData\Roaming\Block\goose\config\config.yaml"),
        (WINDOWS, "devin", r"C:\Users\me\AppData\Roaming\devin\mcp_config.json"),
        (LINUX, "gemini-cli", "/home/me/.gemini/settings.json"),
    ],
)
def test_a_host_has_its_file_where_its_documents_say(machine: Machine, host: str, place: str) -> None:
    assert str(places_of(BY_ID[host], machine)[0]) == place


@pytest.mark.parametrize(
    ("variable", "host", "place"),
    [
        ("XDG_CONFIG_HOME", "zed", "/x/zed/settings.json"),
        ("XDG_CONFIG_HOME", "opencode", "/x/opencode/opencode.json"),
        ("XDG_CONFIG_HOME", "devin", "/home/me/.config/devin/mcp_config.json"),
        ("CODEX_HOME", "codex", "/x/config.toml"),
        ("GEMINI_CLI_HOME", "gemini-cli", "/x/.gemini/settings.json"),
        ("CLINE_DATA_DIR", "cline", "/x/settings/cline_mcp_settings.json"),
        ("CONTINUE_GLOBAL_DIR", "continue", "/x/config.yaml"),
    ],
)
def test_a_variable_moves_the_file_of_the_host_that_knows_it(variable: str, host: str, place: str) -> None:
    machine = Machine("linux", "/home/me", "/work", {variable: "/x"})
    assert str(places_of(BY_ID[host], machine)[0]) == place


def test_a_host_has_no_file_on_a_system_that_it_is_not_for() -> None:
    assert places_of(BY_ID["visual-studio"], LINUX) == []
    assert places_of(BY_ID["generic"], WINDOWS) == []


def test_people_see_places_as_their_system_writes_them() -> None:
    (place,) = BY_ID["zed"].places["win32"]
    assert shown(place, "win32") == r"%APPDATA%\Zed\settings.json"
    assert shown("~/.mcp.json", "win32") == r"%USERPROFILE%\.mcp.json"
    assert shown("{CODEX_HOME|~/.codex}/config.toml", "win32") == r"%USERPROFILE%\.codex\config.toml"
    assert shown("{CODEX_HOME|~/.codex}/config.toml", "linux") == "~/.codex/config.toml"


def test_every_host_says_where_its_shape_was_seen() -> None:
    for host in HOSTS:
        assert host.checked
        assert host.format in ("json", "toml", "yaml")
        assert set(host.places) <= {"darwin", "linux", "win32"}


def installed(folder: Path, *names: str) -> Path:
    """A folder of programs, with a Python in it."""
    folder.mkdir(parents=True)
    for name in ("python", *names):
        (folder / name).touch(0o755)
    return folder / "python"


def test_what_is_installed_is_started_by_its_own_path(tmp_path: Path) -> None:
    python = installed(tmp_path / "venv" / "bin", "mcp-server-seedream")
    assert own_command({}, str(tmp_path / "venv"), str(python)) == (
        str(python.with_name("mcp-server-seedream")),
        [],
    )


def test_on_windows_it_is_a_program_with_a_suffix(tmp_path: Path) -> None:
    python = installed(tmp_path / "venv" / "Scripts", "mcp-server-seedream.exe")
    command, args = own_command({}, str(tmp_path / "venv"), str(python))
    assert (Path(command).name, args) == ("mcp-server-seedream.exe", [])


def test_a_checkout_that_is_not_installed_is_started_as_a_module(tmp_path: Path) -> None:
    python = installed(tmp_path / "venv" / "bin")
    assert own_command({}, str(tmp_path / "venv"), str(python)) == (str(python), ["-m", "mcp_server"])


def test_what_uvx_runs_from_its_cache_is_started_by_uvx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    python = installed(cache / "archive-v0" / "x" / "bin", "mcp-server-seedream")
    (cache / "CACHEDIR.TAG").touch()
    prefix = str(cache / "archive-v0" / "x")
    programs = installed(tmp_path / "programs", "uv", "uvx", "uv.exe", "uvx.exe").parent
    for uv, uvx in (("uv", "uvx"), ("uv.exe", "uvx.exe")):
        command = own_command({"UV": str(programs / uv)}, prefix, str(python))
        assert command == (str(programs / uvx), ["mcp-server-seedream"])
    monkeypatch.setenv("PATH", str(programs))
    assert own_command({}, prefix, str(python))[0] == str(programs / "uvx")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command({}, prefix, str(python)) == ("uvx", ["mcp-server-seedream"])
