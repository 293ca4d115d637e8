"""Files that are no Python, held to the schemas and rules of their formats; each linter is seen to refuse."""

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def lint(program: str, *arguments: object) -> str:
    """What a linter has against a file; nothing if it is well."""
    command = [str(Path(sysconfig.get_path("scripts"), program)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    return (done.stdout + done.stderr) if done.returncode else ""


def edited(path: Path, folder: Path, before: str, after: str) -> Path:
    """A copy in which something is wrong."""
    text = path.read_text("utf-8")
    assert before in text
    copy = folder / path.name
    copy.write_text(text.replace(before, after), "utf-8")
    return copy


def test_the_dockerfile_is_as_its_linter_wants_it(tmp_path: Path) -> None:
    dockerfile = ROOT / "deploy" / "Dockerfile"
    assert lint("hadolint", dockerfile) == ""
    assert "DL3000" in lint("hadolint", edited(dockerfile, tmp_path, "WORKDIR /src", "WORKDIR src"))


def test_the_compose_file_is_valid(tmp_path: Path) -> None:
    file, schema = ROOT / "deploy" / "compose.yaml", ("--builtin-schema", "vendor.compose-spec")
    assert lint("check-jsonschema", *schema, file) == ""
    assert lint("check-jsonschema", *schema, edited(file, tmp_path, "read_only:", "readonly:"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_valid_and_ends_in_time(path: Path, tmp_path: Path) -> None:
    bad = edited(path, tmp_path, "timeout-minutes", "timeout-hours")
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        assert lint("check-jsonschema", "--builtin-schema", schema, path) == ""
        assert lint("check-jsonschema", "--builtin-schema", schema, bad)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_runs_only_what_it_pins(path: Path) -> None:
    text = path.read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())
    used = re.findall(r"uses: (.+)", text)
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one) for one in used)
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "pull_request_target" not in text
    assert "secrets." not in text
    assert "${{ github.event" not in text  # what strangers write must not get into a command


def test_the_tests_run_on_every_system_and_python() -> None:
    (path,) = WORKFLOWS
    job = yaml.safe_load(path.read_text("utf-8"))["jobs"]["tests"]
    matrix = job["strategy"]["matrix"]
    assert [system.partition("-")[0] for system in matrix["system"]] == ["ubuntu", "macos", "windows"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={matrix['python'][0]}"
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for step in job["steps"]:
        for command in re.findall(r"make ([a-z ]+)", step.get("run", "")):
            assert set(command.split()) <= set(targets)
