"""server.json, the entry of the MCP registry; one owner and one version everywhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle import facts, registry
from mcp_server import __version__
from mcp_server.environment import ASKED_BY_BUNDLE, read_settings
from tests.test_lint import ROOT, lint

NOT_OURS = {".git", ".venv", "node_modules", "dist", "__pycache__", "tests", "benchmarks"}
PINNED = re.compile(r"requirements.*\.txt|package-lock\.json")


def texts() -> Iterator[tuple[str, str]]:
    """The project's own text files, without tests and pins."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in NOT_OURS or part.endswith("_cache") or part == ".hypothesis" for part in parts)
        if not hidden and path.is_file() and path.suffix != ".png" and not PINNED.fullmatch(path.name):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8", "replace")


def rules(folder: Path, entry: dict[str, Any]) -> str:
    """What the registry has against an entry."""
    (folder / "server.json").write_text(json.dumps(entry), "utf-8")
    rule = ("--rule", "mcp-registry-server-json-valid", "--no-plugins", "--no-custom-rules")
    return lint("skillsaw", "lint", "--type", "mcp-registry", "--strict", *rule, folder)


def test_the_file_is_what_the_program_says() -> None:
    """`make readme` writes it."""
    assert registry.FILE.read_text("utf-8") == registry.text()


def test_the_registry_would_take_it(tmp_path: Path) -> None:
    entry = registry.entry()
    assert rules(tmp_path, entry) == ""
    assert len(entry["description"]) <= 100


@pytest.mark.parametrize("change", [{"name": "seedream"}, {"description": "x" * 101}, {"version": "latest"}])
def test_the_registrys_rules_bite(change: dict[str, str], tmp_path: Path) -> None:
    assert "mcp-registry-server-json-valid" in rules(tmp_path, registry.entry() | change)


def test_it_asks_for_what_the_bundle_asks_for_and_for_no_secret_in_the_open() -> None:
    (package,) = registry.entry()["packages"]
    variables = {one["name"]: one for one in package["environmentVariables"]}
    assert tuple(variables) == ASKED_BY_BUNDLE == tuple(facts.QUESTIONS)
    assert [name for name, one in variables.items() if one.get("isSecret")] == ["NOVITA_API_KEY"]
    defaults = {name: one["default"] for name, one in variables.items() if "default" in one}
    assert read_settings(defaults) == read_settings({})


def test_the_project_names_its_owner_in_one_place() -> None:
    """All else is generated from it: what still says OWNER follows when it is filled in."""
    unknown = [
        name for name, text in texts() if re.search(r"\bOWNER\b", text) and not name.startswith("bundle/")
    ]
    assert set(unknown) <= {"pyproject.toml", "server.json", "README.md"}
    readme = (ROOT / "README.md").read_text("utf-8")
    assert set(re.findall(r"mcp-name: (\S+)", readme)) == {registry.SERVER}
    assert re.fullmatch(r"io\.github\.[A-Za-z0-9-]+/[A-Za-z0-9._-]+", registry.SERVER)


def test_every_version_is_that_of_the_package() -> None:
    """The one place is `mcp_server/__init__.py`; a file that repeats it stands here."""
    named = re.compile(r"mcp-server-seedream(?:==|[:@ -]v?|\", \"version\": \")(\d+\.\d+\.\d+)")
    repeated = {
        "CHANGELOG.md": re.compile(r"^## (\d+\.\d+\.\d+)", re.MULTILINE),
        "server.json": re.compile(r'"version": "([^"]+)"'),
        "deploy/kubernetes/replicas.yaml": re.compile(r"image: mcp-server-seedream:(\S+)"),
    }
    holding = [
        name for name, text in texts() if re.search(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])", text)
    ]
    assert set(holding) == {"mcp_server/__init__.py", *repeated}
    for name, text in texts():
        assert set(named.findall(text)) <= {__version__}, name
    for name, pattern in repeated.items():
        assert pattern.findall((ROOT / name).read_text("utf-8"))[0] == __version__, name
