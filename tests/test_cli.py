"""The command line: what is run, and the exit codes."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server import __version__
from mcp_server.cli import main, parser
from mcp_server.log import configure_logging
from mcp_server.sockets import listen
from tests.conftest import child_environment


def test_without_a_command_it_serves_stdio() -> None:
    assert vars(parser().parse_args(["serve"])) == {
        "command": "serve",
        "transport": "stdio",
        "host": None,
        "port": None,
    }


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--transport", "carrier-pigeon"],
        ["serve", "--port", "70000"],
        ["serve", "--port", "x"],
        ["emulator", "--latency", "x"],
        ["emulator", "--latency", "-1"],
        ["nonsense"],
        ["emulator", "--fault", "{"],
        ["emulator", "--fault", "{}"],
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert capsys.readouterr().err


def test_an_emulator_on_a_port_in_use_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        assert main(["emulator", "--port", str(taken.getsockname()[1])]) == 1
    assert "can't listen" in capsys.readouterr().err


def test_a_demo_folder_that_cannot_be_made_exits_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--folder", str(tmp_path / "file" / "x")]) == 1
    assert "the demo failed" in capsys.readouterr().err


def test_what_a_host_left_unanswered_counts_as_unset_and_the_log_says_so() -> None:
    unanswered = {"SEEDREAM_SAVE_DIR": "${user_config.save_dir}", "SEEDREAM_STORE_URL": "memory://"}
    served = subprocess.run(
        [sys.executable, "-m", "mcp_server"],
        input=b"",
        env=child_environment(**unanswered),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"SEEDREAM_SAVE_DIR was left out in the host's settings" in served.stderr
    assert served.stdout == b""


def test_only_our_own_lines_are_logged_below_a_warning() -> None:
    configure_logging("DEBUG")
    assert logging.getLogger("mcp_server").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("mcp.server").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore").isEnabledFor(logging.INFO)


def test_the_demo_calls_both_tools_and_saves_five_pictures(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--folder", str(tmp_path), "--latency", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("->") == 5
    assert "Waiting for up to 3 images" in printed
    assert f"5 pictures in {tmp_path}" in printed
