"""The protocol's official conformance suite, against a real server over Streamable HTTP."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import running
from tests.npm import node, unpinned

FOLDER = Path(__file__).parent / "conformance"
SUITE = FOLDER / "node_modules" / "@modelcontextprotocol" / "conformance"
EXPECTED: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((FOLDER / "expected.yaml").read_text())
REVISIONS = ("2025-11-25", "2026-07-28")

Check = tuple[str, str]
"""A scenario, and what is checked in it."""


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
        done = subprocess.run([*command, *options], timeout=120, capture_output=True, text=True, check=False)

    results = list(outcome(tmp_path))
    assert {scenario for (scenario, _), _, _ in results} == required(revision), done.stdout + done.stderr
    failed = {check: said for check, status, said in results if status in ("FAILURE", "WARNING")}
    not_listed = {check: said for check, said in failed.items() if check not in listed(revision)}
    listed_in_vain = listed(revision) - failed.keys()
    assert (not_listed, listed_in_vain) == ({}, set())


def outcome(folder: Path) -> Iterator[tuple[Check, str, str]]:
    """Each check, its status, and what is said of it."""
    for file in folder.glob("*/checks.json"):
        named = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\dZ-]+", file.parent.name)
        assert named, file
        for check in json.loads(file.read_text()):
            yield (named[1], check["id"]), check["status"], check.get("errorMessage", "")


def required(revision: str) -> set[str]:
    """The scenarios of a revision, those included that the suite does not count."""
    asked = yaml.safe_load((SUITE / "requirements" / f"{revision}.yaml").read_text())
    return set(asked["server"]) | {one["scenario"] for one in asked["not_scored"] if one["leg"] == "server"}


def listed(revision: str) -> set[Check]:
    """The checks that are expected to fail."""
    scenarios = EXPECTED["both"] | EXPECTED[revision]
    return {(scenario, check) for scenario, checks in scenarios.items() for check in checks}


def test_each_expected_failure_has_its_reason_and_stands_once() -> None:
    assert set(EXPECTED) == {"both", *REVISIONS}
    assert all(why for era in EXPECTED.values() for checks in era.values() for why in checks.values())
    assert not any(EXPECTED["both"].keys() & EXPECTED[revision].keys() for revision in REVISIONS)


def test_the_lock_file_holds_hashes_and_no_registrys_address() -> None:
    assert unpinned(FOLDER) == []
