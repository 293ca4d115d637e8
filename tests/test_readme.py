"""What the README says is what the program does."""

import json
import re
import shlex
from pathlib import Path

import pytest

from mcp_server import __version__, emulator
from mcp_server.cli import parser
from mcp_server.client.retry import ATTEMPTS, LONGEST_WAIT
from mcp_server.emulator.faults import Fault
from mcp_server.environment import read_settings
from mcp_server.request import DEFAULT_BATCH
from tests.readme import README, not_emulated, written

ROOT = README.parent
TEXT = README.read_text("utf-8")
COMMANDS = [line[2:].partition(" #")[0] for line in TEXT.splitlines() if line.startswith("$ ")]


def test_its_tables_are_the_ones_that_the_code_gives() -> None:
    assert written(TEXT) == TEXT, "run `make readme`"


def test_the_make_targets_it_names_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    targets = re.findall(r"^([a-z.][\w./-]*):", makefile, re.MULTILINE)
    quoted = re.findall(r"`([^`\n]+)`", TEXT)
    named = re.findall(r"^make ([a-z.][\w./]*)", "\n".join(quoted + COMMANDS), re.MULTILINE)
    assert {"demo", "test"} <= set(named) <= set(targets)


def test_its_configuration_is_the_generic_one() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert json.loads(block) == json.loads((ROOT / "client_configs/generic.json").read_text("utf-8"))


@pytest.mark.parametrize("command", COMMANDS)
def test_its_command_lines_parse(command: str) -> None:
    words = shlex.split(command)
    variables = {}
    while "=" in words[0]:
        name, _, variables[name] = words.pop(0).partition("=")
    if words[0] == "curl":
        if "-d" in words:
            Fault.model_validate_json(words[words.index("-d") + 1])
        assert re.fullmatch(
            r"http://127\.0\.0\.1:8787/_emulator/(faults|requests)",
            words[-1] if words[1].startswith("-") else words[1],
        )
    elif words[0] == "mcp-server-seedream":
        read_settings({name: value for name, value in variables.items() if not name.endswith("_FILE")})
        arguments = parser().parse_args(words[1:] or ["serve"])
        for fault in getattr(arguments, "fault", []):
            Fault.model_validate_json(fault)
    else:
        assert words[0] == "make"


def test_its_numbers_are_the_codes() -> None:
    assert f"at most {ATTEMPTS} times in all" in TEXT
    assert f"up to {LONGEST_WAIT:.0f} s" in TEXT
    assert f"without `max_images` sends {DEFAULT_BATCH}" in TEXT


def test_the_emulators_docstring_says_what_it_does_not_emulate() -> None:
    assert not_emulated().startswith("- the model")
    assert emulator.__doc__ is not None


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in (README, *(ROOT / "client_configs").glob("*.md"), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__}" in Path(ROOT / "CHANGELOG.md").read_text("utf-8")
