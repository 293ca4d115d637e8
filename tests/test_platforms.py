"""What differs on Windows and macOS, simulated here; and that nothing but `platforms` asks for the system."""

import ast
import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

import mcp_server
from mcp_server.environment import SettingsError, read_settings
from mcp_server.generations.stores import spelled
from mcp_server.pictures.save import Origin, check_folder, file_name
from mcp_server.platforms import (
    LINUX,
    MACOS,
    WINDOWS,
    allow_files,
    ending_signals,
    have_port_alone,
    is_elsewhere,
    is_unread,
    is_within,
    opened_path,
    print_anything,
    reading_flags,
)
from mcp_server.sockets import listen
from tests.conftest import INITIALIZE, NOON, a_generation, child_environment, posix
from tests.test_stdio import LIST, encoded

pytestmark = pytest.mark.anyio

PACKAGE = Path(mcp_server.__file__).parent

OF_ONE_SYSTEM = re.compile(
    r"sys\.platform|os\.name|\bplatform\.system|/proc|fcntl|msvcrt|winreg|import resource|import pwd|os\.fork"
    r"|os\.getuid|os\.geteuid|os\.chmod|os\.kill|\bSO_[A-Z]+|\bO_(?!RDONLY)[A-Z]+|signal\.SIG(?!INT|TERM|_)"
    r"|add_signal_handler|add_reader|add_writer|open_unix_connection|AF_UNIX|signal\.pause|signal\.alarm"
)
"""What some systems lack."""


def code_of(path: Path) -> str:
    """The code of a module: neither docstrings nor comments."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None
    return ast.unparse(tree)


def test_only_one_module_asks_for_the_system() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): match[0]
        for path in PACKAGE.rglob("*.py")
        if (match := OF_ONE_SYSTEM.search(code_of(path)))
    }
    assert list(found) == ["platforms.py"]


def test_every_text_file_is_read_and_written_in_a_named_encoding() -> None:
    """Windows would take an encoding of its own, and other ends of lines."""
    unnamed = re.compile(
        r"(?:read_text|write_text)\(\)|(?<!os)\.open\((?!.*(?:b['\"]|encoding=|formats=))|os\.linesep"
    )
    opened = {
        path.name: [line for line in code_of(path).splitlines() if unnamed.search(line)]
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: lines for name, lines in opened.items() if lines} == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("SIGINT", "SIGTERM", "SIGHUP"), ("SIGINT", "SIGTERM")),
        (("SIGINT", "SIGTERM", "SIGBREAK"), ("SIGINT", "SIGTERM", "SIGBREAK")),
    ],
)
def test_the_signals_to_end_are_those_that_a_system_has(
    names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    known: tuple[object, ...] = ending_signals(SimpleNamespace(**{name: name for name in names}))
    assert known == expected
    assert set(ending_signals()) >= {signal.SIGINT, signal.SIGTERM}


def test_a_pipe_that_nobody_reads_is_known_by_what_each_system_calls_it() -> None:
    invalid = OSError(errno.EINVAL, "Invalid argument")
    for error in (BrokenPipeError(), ConnectionResetError()):
        assert all(is_unread(error, system) for system in (LINUX, MACOS, WINDOWS))
    assert is_unread(invalid, WINDOWS)
    assert not is_unread(invalid, LINUX)
    assert not is_unread(OSError(errno.ENOSPC, "No space left"), WINDOWS)
    assert not is_unread(ValueError(), WINDOWS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_any_other_failure_to_write_is_a_failure() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "mcp_server"],
            input=b"".join(line + b"\n" for line in encoded(INITIALIZE)),
            stdout=full,
            stderr=subprocess.PIPE,
            env=child_environment(SEEDREAM_STORE_URL="memory://"),
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    assert b"No space left" in ended.stderr


def test_lines_may_end_as_on_windows() -> None:
    lines = encoded(INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/initialized"}, LIST)
    ended = subprocess.run(
        [sys.executable, "-m", "mcp_server"],
        input=b"".join(line + b"\r\n" for line in lines),
        capture_output=True,
        env=child_environment(SEEDREAM_STORE_URL="memory://"),
        timeout=30,
        check=True,
    )
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == [1, 2]


LIKE_PROACTOR = """
import asyncio, sys
from mcp_server.cli import main

def lacking(*_):
    raise NotImplementedError

for name in ("add_reader", "add_writer", "add_signal_handler", "remove_signal_handler", "create_unix_server"):
    setattr(asyncio.SelectorEventLoop, name, lacking)
sys.exit(main())
"""
"""The server on an event loop that has no more than Windows' own."""


async def test_all_works_on_an_event_loop_like_that_of_windows(tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-c", LIKE_PROACTOR],
        env=child_environment(
            SEEDREAM_EMULATOR="1", SEEDREAM_STORE_URL="memory://", SEEDREAM_SAVE_DIR=str(tmp_path)
        ),
    )
    async with Client(server) as client:
        made = await client.call_tool("generate_image", {"prompt": "a fox", "preview": True})
    assert not made.is_error
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_a_console_of_few_characters_prints_any(encoding: str) -> None:
    output = io.BytesIO()
    stream = io.TextIOWrapper(output, encoding=encoding)
    print_anything((stream, None, io.StringIO()))
    print("C:\\Users\\狐 → ok", file=stream, flush=True)
    assert b"\\u72d0" in output.getvalue()


def test_the_demo_prints_any_path_to_a_console_of_few_characters(tmp_path: Path) -> None:
    (tmp_path / "狐").touch()  # no folder can be made there: the path is in what is said
    ended = subprocess.run(
        [sys.executable, "-m", "mcp_server", "demo", "--folder", str(tmp_path / "狐")],
        capture_output=True,
        env=child_environment(PYTHONIOENCODING="cp1252:strict", PYTHONUTF8="0"),
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert b"the demo failed" in ended.stderr
    assert b"\\u72d0" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_port_belongs_to_one_process_on_windows_too() -> None:
    asked: list[tuple[int, int, int]] = []
    listener: Any = SimpleNamespace(setsockopt=lambda *option: asked.append(option))
    have_port_alone(listener, SimpleNamespace(SO_EXCLUSIVEADDRUSE=-5))
    have_port_alone(listener, SimpleNamespace())
    assert asked == [(socket.SOL_SOCKET, -5, 1), (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]
    with listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1])


def fake_limits(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, refuses: Callable[[int], bool]
) -> list[int]:
    """A system with these limits of open files; what it was set to."""
    tried: list[int] = []

    def setrlimit(_which: int, limits: tuple[int, int]) -> None:
        assert limits[1] == hard
        tried.append(limits[0])
        if refuses(limits[0]):
            raise ValueError("current limit exceeds maximum limit")

    module = SimpleNamespace(
        RLIMIT_NOFILE=8, RLIM_INFINITY=-1, getrlimit=lambda _which: (soft, hard), setrlimit=setrlimit
    )
    monkeypatch.setitem(sys.modules, "resource", module)
    return tried


def test_the_limit_of_open_files_is_raised_as_far_as_each_system_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = fake_limits(monkeypatch, 256, -1, lambda files: files > 10_240)  # macOS
    allow_files(200_512)
    assert tried == [200_512, 10_240]
    tried = fake_limits(monkeypatch, 1024, 4096, lambda _: False)  # Linux
    allow_files(4512)
    assert tried == [4096]
    tried = fake_limits(monkeypatch, 4096, -1, lambda _: True)
    allow_files(4096)
    assert tried == []
    tried = fake_limits(monkeypatch, 256, -1, lambda _: True)  # a system that allows nothing
    allow_files(4096)
    assert tried == [4096, 10_240]
    monkeypatch.setitem(sys.modules, "resource", None)  # Windows
    allow_files(4096)


@posix
def test_a_file_is_opened_as_bytes_and_without_waiting_where_a_system_knows_the_words() -> None:
    windows = SimpleNamespace(O_RDONLY=0, O_BINARY=0x8000, O_NOINHERIT=0x80)
    assert reading_flags(windows) == 0x8000
    assert reading_flags() & os.O_NOFOLLOW


@posix
def test_where_the_system_tells_no_path_of_an_open_file_its_name_must_lead_to_it(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    for path in (one, two):
        path.touch()
    with one.open("rb") as file:
        assert opened_path(file.fileno(), one, WINDOWS) == one
        assert opened_path(file.fileno(), two, WINDOWS) == Path("/")
        assert opened_path(file.fileno(), tmp_path / "3", WINDOWS) == Path("/")


@posix
def test_macos_tells_the_path_of_an_open_file_by_a_call_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(_descriptor: int, question: int, space: bytes) -> bytes:
        assert (question, len(space)) == (50, 1024)
        return "/Users/ann/Füchse/a.jpg".encode().ljust(1024, b"\0")

    (tmp_path / "a").touch()
    monkeypatch.setitem(sys.modules, "fcntl", SimpleNamespace(fcntl=asked))
    with (tmp_path / "a").open("rb") as file:
        assert opened_path(file.fileno(), tmp_path / "a", MACOS) == Path("/Users/ann/Füchse/a.jpg")


@pytest.fixture
def names_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes names in any case, as those of macOS and Windows do."""

    def same(one: Path, other: Path) -> bool:
        return str(one).lower() == str(other).lower()

    monkeypatch.setattr(Path, "samefile", same)


@pytest.mark.usefixtures("names_in_any_case")
def test_an_allowed_folder_is_known_in_any_case_where_the_disk_takes_any(tmp_path: Path) -> None:
    folder, inside = tmp_path / "Pictures", tmp_path / "PICTURES" / "fox" / "a.jpg"
    for system in (MACOS, WINDOWS):
        assert is_within(inside, folder, system)
        assert is_within(tmp_path / "pictures", folder, system)
        assert not is_within(tmp_path / "pictures-too" / "a.jpg", folder, system)
        assert not is_within(tmp_path / "a.jpg", folder, system)
    assert not is_within(inside, folder, LINUX)
    assert is_within(tmp_path / "Pictures" / "a.jpg", folder, LINUX)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert not is_within(tmp_path / "a.jpg", tmp_path / "none", WINDOWS)


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        (r"C:\Pictures\a.jpg", False),
        (r"D:\elsewhere\a.jpg", False),  # is looked at, and then not found to be in an allowed folder
        (r"\\NAS\photos\a.jpg", False),
        ("//nas/Photos/a.jpg", False),
        (r"\\attacker\share\a.jpg", True),
        (r"\\nas\other\a.jpg", True),
        (r"\\.\PhysicalDrive0\a.jpg", True),
        (r"\\?\UNC\attacker\share\a.jpg", True),
        ("a.jpg", False),
    ],
)
def test_a_network_share_that_is_not_allowed_is_not_even_looked_at(path: str, refused: bool) -> None:
    allowed = [PureWindowsPath(r"c:\pictures"), PureWindowsPath(r"\\nas\photos\shared")]
    assert is_elsewhere(PureWindowsPath(path), allowed) is refused


@pytest.mark.parametrize(
    ("url", "windows", "path"),
    [
        ("sqlite:///C:/Users/ann/ledger.db", True, "C:/Users/ann/ledger.db"),
        ("sqlite:///C:\\Users\\ann\\ledger.db", True, "C:\\Users\\ann\\ledger.db"),
        ("sqlite:///~/ledger.db", True, "~/ledger.db"),
        ("sqlite:///C:/ledger.db", False, "/C:/ledger.db"),
        ("sqlite:////var/lib/ledger.db", False, "/var/lib/ledger.db"),
    ],
)
def test_a_store_url_is_read_as_its_system_writes_paths(url: str, windows: bool, path: str) -> None:
    assert spelled(url, windows=windows) == path


@pytest.mark.parametrize(
    "prompt",
    ["CON", "nul.", "aux ", "COM1", "LPT9.txt", 'a:b<c>|d?*"/\\', "...", "狐" * 60, "x\r\ny", "İ" * 60],
)
def test_a_picture_gets_a_name_that_every_system_allows(prompt: str) -> None:
    generation = a_generation(prompt=prompt, created=NOON, urls=("https://example.com/a.jpg",))
    name = file_name(Origin(generation, 1), "image/jpeg")
    assert not set(name) & set('<>:"/\\|?*')
    assert all(character.isprintable() for character in name)
    assert not name.endswith((".", " "))
    assert name.split(".")[0].split("-")[0].isdigit()  # no reserved name begins with a date
    assert len(name.encode()) < 255


def test_the_folder_is_tried_with_a_name_as_long_as_the_longest(tmp_path: Path) -> None:
    from mcp_server.pictures import save

    longest = a_generation(prompt="x" * 99, created=NOON, urls=("https://example.com/a.jpg",) * 15)
    name = file_name(Origin(longest, 15), "image/webp")
    assert len(name) + len("-99") <= save._LONGEST_NAME
    check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    """With a mark at its beginning and its own ends of lines; what is no UTF-8 is told."""
    path = tmp_path / "key.txt"
    path.write_bytes(b"\xef\xbb\xbfsk_a-key\r\n")
    key = read_settings({"NOVITA_API_KEY_FILE": str(path)}).api_key
    assert key
    assert key.get_secret_value() == "sk_a-key"
    path.write_text("sk_a-key\r\n", "utf-16")
    with pytest.raises(
        SettingsError, match="NOVITA_API_KEY_FILE names a file that can't be read: it is no text"
    ):
        read_settings({"NOVITA_API_KEY_FILE": str(path)})
