"""The protocol's official conformance suite, against a real server over Streamable HTTP."""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from tests.conftest import running
from tests.npm import node, unpinned

FOLDER = Path(__file__).parent / "conformance"
SUITE = FOLDER / "node_modules" / "@modelcontextprotocol" / "conformance"
EXPECTED: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((FOLDER / "expected.yaml").read_text())
REVISIONS = ("2025-11-25", "2026-07-28")

Found = dict[str, set[str]]
"""Checks by their scenario."""


@pytest.mark.conformance
@pytest.mark.parametrize("revision", REVISIONS)
def test_the_official_suite_finds_nothing_but_the_fixtures_of_test_servers_missing(
    revision: str, tmp_path: Path
) -> None:
    program = node(FOLDER, (22, 19), "make conformance")
    arguments = ("serve", "--transport", "http", "--port", "0")
    with running(*arguments, wait_for="listening on", SEEDREAM_EMULATOR="1") as (url, _):
        command = [program, str(SUITE / "dist" / "index.js"), "server", "--url", url]
        options = ["--requirements", revision, "--output-dir", str(tmp_path)]
        done = subprocess.run([*command, *options], timeout=80, capture_output=True, text=True, check=False)
    passed, failed = outcome(tmp_path)
    assert passed.keys() | failed.keys() == required(revision), done.stdout + done.stderr
    # What passes and stands there is as wrong as what fails and doesn't.
    assert failed == expected(revision), done.stdout
    assert all("wire-schema-valid" not in checks for checks in failed.values())


def outcome(folder: Path) -> tuple[Found, Found]:
    """The checks that passed, and those that failed or gave a warning."""
    passed: Found = defaultdict(set)
    failed: Found = defaultdict(set)
    for file in folder.glob("*/checks.json"):
        named = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\dZ-]+", file.parent.name)
        assert named, file
        for check in json.loads(file.read_text()):
            bad = check["status"] in ("FAILURE", "WARNING")
            (failed if bad else passed)[named[1]].add(check["id"])
    return passed, failed


def required(revision: str) -> set[str]:
    """The scenarios of a revision, those included that the suite does not count."""
    listed = yaml.safe_load((SUITE / "requirements" / f"{revision}.yaml").read_text())
    return set(listed["server"]) | {one["scenario"] for one in listed["not_scored"] if one["leg"] == "server"}


def expected(revision: str) -> Found:
    return {scenario: set(checks) for era in ("both", revision) for scenario, checks in EXPECTED[era].items()}


def test_each_expected_failure_has_its_reason_and_stands_once() -> None:
    assert set(EXPECTED) == {"both", *REVISIONS}
    assert all(why for era in EXPECTED.values() for checks in era.values() for why in checks.values())
    assert not any(EXPECTED["both"].keys() & EXPECTED[revision].keys() for revision in REVISIONS)


def test_the_lock_file_holds_hashes_and_no_registrys_address() -> None:
    assert unpinned(FOLDER) == []
