"""`config`: what it prints, shows and writes, and what it refuses."""

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mcp_server.cli import main
from mcp_server.config import files
from mcp_server.config.command import hosts_here
from mcp_server.config.edits import Refused
from mcp_server.config.places import this_machine
from mcp_server.config.table import BY_ID, HOSTS
from tests.conftest import NOON

SECRETS = "sk-live-of-another", "Bearer of-another", "hunter2"
OTHERS = """{
  // the team's: hunter2
  "mcpServers": {
    "another": { "command": "x", "args": ["--key", "hunter2"], "env": { "KEY": "sk-live-of-another" } },
    "far": { "url": "https://example.com/mcp", "headers": { "Authorization": "Bearer of-another" } }, // far
  },
}
"""


class Home:
    """A person's home folder and project, and what `config` says there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.project, self._capsys = folder / "home", folder / "project", capsys
        self.out = self.err = ""

    def run(self, *arguments: str) -> int:
        try:
            code = main(["config", *arguments])
        except SystemExit as stopped:
            code = int(str(stopped.code))
        self.out, self.err = self._capsys.readouterr()
        return code

    def file(self, name: str, text: str | bytes = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    made = Home(tmp_path, capsys)
    made.folder.mkdir()
    made.project.mkdir()
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "GEMINI_CLI_HOME", "CLINE_DATA_DIR", "CONTINUE_GLOBAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(made.folder))
    monkeypatch.chdir(made.project)
    return made


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_prints_a_configuration_that_starts_this_very_program(home: Home) -> None:
    assert home.run("claude-desktop") == 0
    entry = json.loads(home.out)["mcpServers"]["seedream"]
    assert os.access(entry["command"], os.X_OK)
    assert Path(entry["command"]).is_absolute()
    assert "absolute path" in home.err
    assert "Claude/claude_desktop_config.json" in home.err


def test_a_current_folder_that_is_gone_does_no_harm(home: Home) -> None:
    home.project.rmdir()
    assert home.run("cursor") == 0


def test_every_host_is_printed_and_nothing_else_goes_to_stdout(home: Home) -> None:
    parse: dict[str, Callable[[str], object]] = {
        "toml": tomllib.loads,
        "yaml": yaml.safe_load,
        "json": json.loads,
    }
    for host in HOSTS:
        assert home.run(host.id) == 0
        assert parse[host.format](home.out)
        if home.run(host.id, "--remote", "https://images.example.com") == 0:
            assert parse[host.format](home.out)
        else:
            assert host.id == "claude-desktop"


def test_a_server_on_the_network_is_at_its_usual_path_unless_another_is_given(home: Home) -> None:
    home.run("cursor", "--remote", "https://images.example.com/")
    assert '"https://images.example.com/mcp"' in home.out
    home.run("cursor", "--remote", "https://images.example.com/team/sse")
    assert '"https://images.example.com/team/sse"' in home.out
    assert "the token: from the environment variable" in home.err


@pytest.mark.parametrize("name", ["gemini", "Gemini CLI", "gemini-cli", "GEMINI_CLI"])
def test_a_host_is_known_by_its_name_however_it_is_written(home: Home, name: str) -> None:
    assert home.run(name) == 0
    assert ".gemini/settings.json" in home.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a host, or --list; known are claude-desktop, "),
        (["emacs"], "there is no host 'emacs'; known are "),
        (["claude"], "there is no host 'claude', or which of claude-desktop, claude-code is meant"),
        (["cursor", "--remote", "http://images.example.com"], "--remote must be https"),
        (["cursor", "--remote", "https://a:b@images.example.com"], "--remote must not hold a user name"),
        (["codex", "--remote", "https://images.example.com/sse"], "Codex CLI takes no server by SSE"),
        (["claude-desktop", "--remote", "https://images.example.com"], "as connectors"),
        (["cursor", "--list"], "--list stands alone"),
        (["--list", "--write"], "--list stands alone"),
        (["cursor", "--diff", "--write"], "not allowed with"),
        (["visual-studio", "--write"], "no file of its own on this system; name one with --file"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(home: Home, arguments: list[str], said: str) -> None:
    assert home.run(*arguments) == 2
    assert said in home.err
    assert not home.out
    assert not list(home.folder.iterdir())


def test_the_file_is_named_in_which_a_host_has_it(home: Home) -> None:
    path = home.file(".claude.json", '{"mcpServers": {"seedream": {"command": "x"}}}')
    assert home.run("--list") == 0
    assert f"configured      {path}" in home.out


def test_what_is_left_for_the_person_to_do_is_said_last(home: Home) -> None:
    assert home.run("claude-desktop", "--write") == 0
    assert home.err.rstrip().endswith(
        "put your key in place of your-novita-api-key in that file. Then restart Claude Desktop"
    )
    assert home.run("cursor", "--write") == 0
    assert "the key: from the environment variable" in home.err


def test_a_difference_is_shown_and_nothing_written(home: Home) -> None:
    path = home.file(".cursor/mcp.json", OTHERS)
    assert home.run("cursor", "--diff") == 0
    assert path.read_text() == OTHERS
    assert names_in(path.parent) == ["mcp.json"]
    assert '+    "seedream": {' in home.out
    assert "--write does it" in home.err


@pytest.mark.parametrize("how", ["--diff", "--write"])
def test_a_difference_shows_nobodys_secrets(home: Home, how: str) -> None:
    home.file(".cursor/mcp.json", OTHERS)
    home.run("cursor", how)
    assert "another" in home.out
    assert not any(secret in home.out + home.err for secret in SECRETS)


def test_it_is_written_beside_all_that_is_there(home: Home) -> None:
    path = home.file(".cursor/mcp.json", OTHERS)
    path.chmod(0o640)
    assert home.run("cursor", "--write") == 0
    text = path.read_text()
    fresh = text[text.index('    "seedream"') : text.index("  },\n}")]
    assert text.replace(fresh, "") == OTHERS
    assert "${env:NOVITA_API_KEY}" in fresh
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (backup,) = path.parent.glob("mcp.json.bak-*")
    assert backup.read_text() == OTHERS
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640
    assert str(backup) in home.err


def test_a_second_time_there_is_nothing_to_change(home: Home) -> None:
    for host in HOSTS:
        path = home.project / host.file
        assert home.run(host.id, "--write", "--file", str(path)) == 0
        text = path.read_text()
        assert home.run(host.id, "--write", "--file", str(path)) == 0
        assert "nothing to change" in home.err
        assert (path.read_text(), home.out) == (text, "")
    assert not list(home.project.glob("*.bak*"))


def test_a_missing_file_is_made_with_its_folder_for_its_owner_alone(home: Home) -> None:
    assert home.run("goose", "--write") == 0
    path = home.folder / ".config/goose/config.yaml"
    assert yaml.safe_load(path.read_text())["extensions"]["seedream"]["type"] == "stdio"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(path.parent) == ["config.yaml"]


def test_an_empty_file_gets_the_whole_configuration(home: Home) -> None:
    path = home.file(".continue/config.yaml", "\n")
    assert home.run("continue", "--write") == 0
    assert yaml.safe_load(path.read_text())["schema"] == "v1"


def test_a_symbolic_link_is_followed_and_stays_one(home: Home) -> None:
    path = home.file(".cursor/mcp.json")
    path.unlink()
    target = home.file("dotfiles/cursor.json", "{}")
    path.symlink_to(target)
    assert home.run("cursor", "--write") == 0
    assert path.is_symlink()
    assert "seedream" in target.read_text()
    assert len(list(target.parent.glob("cursor.json.bak-*"))) == 1


def test_ends_of_lines_and_a_byte_order_mark_stay(home: Home) -> None:
    before = "\ufeff" + OTHERS.replace("\n", "\r\n")
    path = home.file(".cursor/mcp.json", before.encode())
    home.run("cursor", "--write")
    after = path.read_bytes().decode()
    assert after.startswith("\ufeff{")
    assert after.count("\ufeff") == 1
    assert after.count("\r\n") == after.count("\n") > before.count("\n")


def test_what_a_person_set_in_our_entry_stays(home: Home) -> None:
    path = home.file(
        ".cline/data/settings/cline_mcp_settings.json",
        """{"mcpServers": {"seedream": {
          "command": "old", // mine
          "env": {"NOVITA_API_KEY": "sk-own", "SEEDREAM_SAVE_DIR": "/p"},
          "timeout": 60, "disabled": true, "autoApprove": ["list_images"]
        }}}""",
    )
    assert home.run("cline", "--write") == 0
    text = path.read_text()
    for kept in (
        '{"NOVITA_API_KEY": "sk-own", "SEEDREAM_SAVE_DIR": "/p"}',
        '"timeout": 60',
        '"disabled": true',
    ):
        assert kept in text
    assert "// mine" in text
    assert '"old"' not in text
    assert "sk-own" not in home.out


@pytest.mark.parametrize(
    ("host", "file", "text", "gone"),
    [
        (
            "cursor",
            ".cursor/mcp.json",
            '{"mcpServers": {"seedream": {"url": "https://x/mcp", "a": 1}}}',
            "url",
        ),
        (
            "codex",
            ".codex/config.toml",
            '[mcp_servers.seedream]\nurl = "https://x/mcp"\na = 1\n[z]\nb = 1\n',
            "url",
        ),
        (
            "goose",
            ".config/goose/config.yaml",
            "extensions:\n  seedream:\n    uri: https://x/mcp\n    a: 1\n  z: {}\n",
            "uri",
        ),
        (
            "continue",
            ".continue/config.yaml",
            "mcpServers:\n- name: seedream\n  url: u\n  a: 1\n- name: z\n",
            "url",
        ),
    ],
)
def test_an_entry_of_another_transport_is_replaced(
    home: Home, host: str, file: str, text: str, gone: str
) -> None:
    path = home.file(file, text)
    assert home.run(host, "--write") == 0
    after = path.read_text()
    assert f"{gone}:" not in after
    assert "https://x/mcp" not in after
    assert re.search(r'"?a"?(:| =) 1', after)
    assert "NOVITA_API_KEY" in after


def test_a_key_that_a_host_asks_for_is_declared_where_others_are(home: Home) -> None:
    path = home.file(".config/Code/User/mcp.json", '{"inputs": [{"id": "x"}], "servers": {}}')
    home.run("vscode", "--write")
    assert [item["id"] for item in json.loads(path.read_text())["inputs"]] == ["x", "novita-api-key"]
    home.run("vscode", "--write", "--remote", "https://images.example.com")
    names = [item["id"] for item in json.loads(path.read_text())["inputs"]]
    assert names == ["x", "novita-api-key", "seedream-token"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"mcp": {"old": {"type": "local", "command": ["x"]}}}', ("mcp", "seedream")),
        ('{"mcp": {"timeout": {"startup": 5000}}}', ("mcp", "servers", "seedream")),
        ('{"mcp": {}}', ("mcp", "servers", "seedream")),
        ("{}", ("mcp", "servers", "seedream")),
    ],
)
def test_opencode_of_either_version_gets_it_where_its_file_has_servers(
    home: Home, text: str, path: tuple[str, ...]
) -> None:
    file = home.file(".config/opencode/opencode.jsonc", text)
    home.run("opencode", "--write")
    found = json.loads(file.read_text())
    for step in path:
        found = found[step]
    assert found["type"] == "local"
    assert not (file.parent / "opencode.json").exists()


def refuse(home: Home, host: str, *said: str) -> None:
    """`config host --write` leaves every file as it is and says why, in one line."""
    before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    assert home.run(host, "--write") == 1
    assert {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()} == before
    assert home.err.count("\n") == 1
    assert "is left as it is: " in home.err
    for words in said:
        assert words in home.err


@pytest.mark.parametrize(
    ("host", "text", "said"),
    [
        ("cursor", "{\n  nonsense\n}", "line 2 is no JSON"),
        ("cursor", '{"a": 1', "line 1 is no JSON"),
        ("cursor", '{"a": 1} x', "line 1 is no JSON"),
        ("cursor", '{"a" 1}', "line 1 is no JSON"),
        ("cursor", '{"a": NaN}', "line 1 is no JSON"),
        ("cursor", '{"a": 1 "b": 2}', "line 1 is no JSON"),
        ("cursor", '{"a": "\n"}', "line 1 is no JSON"),
        ("cursor", "{'a': 1}", "line 1 is no JSON"),
        ("cursor", "[" * 200 + "]" * 200, "nested more than 100 deep"),
        ("cursor", "[]", "its root is not an object"),
        ("cursor", "7", "its root is not an object"),
        ("cursor", '{"mcpServers": []}', "mcpServers is not an object"),
        ("vscode", '{"inputs": {}}', "inputs is not a list"),
        ("continue", "mcpServers: {}\n", "mcpServers is not a list"),
        ("cursor", b'{"a": "\xff"}', "it is not UTF-8"),
        ("cursor", "{}".encode("utf-16"), "it is not UTF-8"),
        ("cursor", b" " * 4_194_305, "it is larger than 4 MB"),
        ("codex", "a = \n", "line 1 is no TOML"),
        ("codex", "a = " + "[" * 5000, "is no TOML"),
        ("codex", "mcp_servers = 1\n", "mcp_servers is not an object"),
        ("codex", "[[mcp_servers]]\na = 1\n", "mcp_servers is not an object"),
        ("goose", "a: [\n", "is no YAML"),
        ("goose", "a: \0\n", "is no YAML"),
        ("goose", "a: 1\n---\nb: 2\n", "is no YAML"),
        ("goose", "a: " + "[" * 5000, "is no YAML"),
        ("goose", "- a\n", "its root is not an object"),
        ("goose", "extensions: [a]\n", "extensions is not an object"),
        ("goose", "a: 1\na: 2\n", "line 2 has a key that is there already"),
        ("goose", "? [a]\n: 1\n", "line 1 has a key that is there already, or is none"),
        ("goose", "a: &a {b: 1}\nextensions: *a\n", "too unusual"),
        ("goose", "{extensions: null}\n", "too unusual"),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_is(
    home: Home, host: str, text: str | bytes, said: str
) -> None:
    home.run(host)
    match = re.search(r"reads (\S+?),? ?(?:in a project.*)?\n", home.err)
    assert match
    home.file(match[1], text)
    refuse(home, host, said)


def test_aliases_that_grow_without_end_are_refused(home: Home) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    home.file(".config/goose/config.yaml", "\n".join(lines))
    refuse(home, "goose", "its aliases make it too large")


def test_what_is_no_file_is_left_as_it_is(home: Home) -> None:
    path = home.folder / ".cursor/mcp.json"
    path.mkdir(parents=True)
    refuse(home, "cursor", "it is a folder")
    path.rmdir()
    os.mkfifo(path)
    refuse(home, "cursor", "it is no ordinary file")
    path.unlink()
    path.symlink_to(path)
    refuse(home, "cursor", "it can't be read: ")
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    refuse(home, "cursor", "it can't be read: ")


def test_a_read_only_file_is_left_as_it_is(home: Home) -> None:
    home.file(".cursor/mcp.json", "{}").chmod(0o444)
    refuse(home, "cursor", "it is read-only")


def test_a_file_that_another_program_has_just_changed_is_left_to_it(tmp_path: Path) -> None:
    for first, then in ((b"{}", b'{"a": 1}'), (b"{}", None), (None, b"{}")):
        path = tmp_path / "mcp.json"
        path.unlink(missing_ok=True)
        if first is not None:
            path.write_bytes(first)
        original = files.read(path)
        path.unlink(missing_ok=True)
        if then is not None:
            path.write_bytes(then)
        with pytest.raises(Refused):
            files.replace(original, "{ }", NOON)
        assert (path.read_bytes() if path.exists() else None) == then
        assert set(names_in(tmp_path)) <= {"mcp.json"}


def test_a_disk_that_is_full_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "mcp.json"
    path.write_text("{}")
    original = files.read(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Refused, match="can't be written: No space left"):
            files.replace(original, "{ }", NOON)
    assert names_in(tmp_path) == ["mcp.json"]
    assert path.read_text() == "{}"


def test_copies_of_the_same_second_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("0")
    for number in range(100):
        assert files.replace(files.read(path), str(number + 1), NOON)
    assert (tmp_path / "mcp.json.bak-20260304-120000").read_text() == "0"
    assert (tmp_path / "mcp.json.bak-20260304-120000-99").read_text() == "99"
    with pytest.raises(Refused, match="a hundred copies"):
        files.replace(files.read(path), "", NOON)
    assert path.read_text() == "100"


def test_the_hosts_on_a_machine_are_listed_with_their_state(home: Home) -> None:
    home.file(".cursor/mcp.json", '{"mcpServers": {"seedream": {}}}')
    home.file(".codex/config.toml", '[mcp_servers.pictures]\ncommand = "mcp-server-seedream"\n')
    home.file(".gemini/settings.json", "{}")
    home.file(".config/goose/config.yaml", "a: [")
    home.file(".claude.json", '{"mcpServers": {"seedream": {"command": "x"}}}')
    (home.folder / ".warp").mkdir()
    before = sorted(home.folder.rglob("*"))
    assert home.run("--list") == 0
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in home.out.splitlines()}
    assert rows["cursor"].startswith("configured ")
    assert rows["codex"].startswith("configured ")
    assert rows["gemini-cli"].startswith("not configured ")
    assert rows["goose"].startswith("not known: ")
    assert rows["claude-code"].startswith("configured ")
    assert rows["warp"].startswith("not configured ")
    assert rows["warp"].endswith(".warp/.mcp.json")
    assert len(rows) == 6
    assert sorted(home.folder.rglob("*")) == before


def test_where_no_host_is_found_the_known_ones_are_named(home: Home) -> None:
    assert home.run("--list") == 0
    assert not home.out
    assert "no host was found here; those that are known: claude-desktop, " in home.err


def test_a_project_is_not_taken_for_a_host(home: Home) -> None:
    assert BY_ID["claude-code"] not in [host for host, _, _ in hosts_here(this_machine())]
    (home.project / ".mcp.json").write_text("{}")
    assert BY_ID["claude-code"] in [host for host, _, _ in hosts_here(this_machine())]
