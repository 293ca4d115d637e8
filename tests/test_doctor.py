"""`mcp-server-seedream doctor`: what it finds, what it says to do, and what it never shows."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mcp_server.doctor import checks, run_doctor
from mcp_server.doctor.checks import examine
from mcp_server.doctor.report import Report, as_table, as_text_json
from mcp_server.emulator import Emulator
from tests.conftest import answering

pytestmark = pytest.mark.anyio

KEY = "sk_a_secret_key_0123456789"
BARE = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
BARE["HOME"] = "/nowhere"
FINE = {"NOVITA_API_KEY": KEY, "SEEDREAM_STORE_URL": "memory://"}


def reply(status: int = 200, **body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


async def visit(answer: httpx.Response | Exception | None = None, /, **variables: str) -> Report:
    """The report on a server with these variables, whose API gives `answer`."""
    network, _ = answering(answer or reply(availableBalance="123400"))
    return await examine(variables, transport=network)


def states(report: Report) -> dict[str, str]:
    return {finding.about: finding.state for finding in report.findings}


def said(report: Report, about: str) -> str:
    (finding,) = [one for one in report.findings if one.about == about]
    return f"{finding.found} => {finding.remedy}"


async def test_a_server_that_is_well_is_called_so() -> None:
    report = await visit(**FINE)
    assert report.well
    assert "accepted by api.novita.ai; the balance is 12.34 USD" in said(report, "API key")
    assert as_table(report).endswith("Nothing is wrong.")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (reply(availableBalance="0"), "wrong", "top up"),
        (reply(availableBalance="-5"), "wrong", "top up"),
        (reply(availableBalance="a lot"), "ok", "told no balance"),
        (reply(), "ok", "told no balance"),
        (httpx.Response(200, text="<html>"), "ok", "told no balance"),
        (reply(401, reason="INVALID_API_KEY", message=f"{KEY} is no key"), "wrong", "put a valid key"),
        (reply(404, reason="API_NOT_FOUND"), "warning", "NOVITA_BASE_URL"),
        (reply(500), "warning", "could not be tried at api.novita.ai"),
        (httpx.Response(200, content=b" " * 2 * 1024**2), "ok", "told no balance"),
        (httpx.ConnectError("proxy user:hunter2"), "wrong", "HTTPS_PROXY"),
        (httpx.ReadTimeout("slow"), "wrong", "could not be tried"),
    ],
)
async def test_the_key_is_tried_by_the_balance_call(
    answer: httpx.Response | Exception, state: str, words: str
) -> None:
    network, requests = answering(answer)
    report = await examine(FINE, transport=network)
    (request,) = requests
    assert (request.method, request.url.path) == ("GET", "/openapi/v1/billing/balance/detail")
    assert states(report)["API key"] == state
    assert words in said(report, "API key")
    for shown in (as_table(report), as_text_json(report)):
        assert KEY not in shown
        assert "hunter2" not in shown


async def test_without_a_key_it_says_how_to_get_one_and_how_to_go_without() -> None:
    report = await visit(SEEDREAM_STORE_URL="memory://")
    assert states(report)["API key"] == "wrong"
    assert "SEEDREAM_EMULATOR=1" in said(report, "API key")
    emulated = await visit(SEEDREAM_STORE_URL="memory://", SEEDREAM_EMULATOR="1")
    assert emulated.well
    assert "none is needed" in said(emulated, "API key")


async def test_each_wrong_setting_is_a_line_of_its_own_that_names_the_variable() -> None:
    report = await visit(NOVITA_API_KEY="${NOVITA_API_KEY}", SEEDREAM_DRAIN_SECONDS="hunter2")
    wrong = [one for one in report.findings if one.state == "wrong"]
    assert len(wrong) == 2
    for finding, name in zip(wrong, ("NOVITA_API_KEY", "SEEDREAM_DRAIN_SECONDS"), strict=True):
        assert finding.found.startswith(name)
        assert name in (finding.remedy or "")
    assert "hunter2" not in as_text_json(report) + as_table(report)
    assert as_table(report).endswith("2 of these must be mended.")
    assert report.settings == []


async def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.environment.find_spec", lambda _: None)
    report = await visit(NOVITA_API_KEY=KEY, SEEDREAM_STORE_URL="redis://127.0.0.1")
    assert "'mcp-server-seedream[redis]' => install that extra" in said(report, "settings")
    assert checks._version("no-such-library") == "of unknown version"


async def test_a_typo_in_a_name_is_pointed_out() -> None:
    report = await visit(**FINE, SEEDREAM_SAVEDIR="/x", SEEDREAM_ZZZ="1", NOVITA_APIKEY="hunter2")
    assert "write NOVITA_API_KEY instead" in said(report, "NOVITA_APIKEY")
    assert "write SEEDREAM_SAVE_DIR instead" in said(report, "SEEDREAM_SAVEDIR")
    assert "take it out" in said(report, "SEEDREAM_ZZZ")
    assert report.well


async def test_settings_are_shown_with_their_source_and_without_secrets(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(KEY)
    tokens = {"ann": "t" * 40, "bob": "u" * 40}
    report = await visit(
        NOVITA_API_KEY_FILE=str(secret),
        SEEDREAM_STORE_URL="memory://",
        SEEDREAM_HTTP_TOKENS=json.dumps(tokens),
        SEEDREAM_INPUT_DIRS=str(tmp_path),
        SEEDREAM_PUBLIC_URL=f"https://x.example/{'y' * 200}",
    )
    shown = {one.name: (one.value, one.source) for one in report.settings}
    assert shown["NOVITA_API_KEY"] == ("set, not shown", "the file in NOVITA_API_KEY_FILE")
    assert shown["SEEDREAM_HTTP_TOKENS"] == ("set, not shown; callers: ann, bob", "environment")
    assert shown["SEEDREAM_INPUT_DIRS"] == (str(tmp_path), "environment")
    assert shown["SEEDREAM_WATERMARK"] == ("false", "default")
    assert shown["SEEDREAM_SAVE_DIR"] == (None, "default")
    assert "SEEDREAM_HTTP_TOKEN" not in shown  # of the network, and not set
    assert (shown["SEEDREAM_PUBLIC_URL"][0] or "").endswith("…")
    assert not [one for one in (KEY, *tokens.values()) if one in as_table(report) + as_text_json(report)]


async def test_the_store_is_opened_and_its_password_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "ledger.db"
    report = await visit(NOVITA_API_KEY=KEY, SEEDREAM_STORE_URL=f"sqlite:///{file}")
    assert said(report, "store").startswith(str(file))
    assert report.well
    file.write_bytes(b"no database" * 1000)
    damaged = await visit(NOVITA_API_KEY=KEY, SEEDREAM_STORE_URL=f"sqlite:///{file}")
    assert states(damaged)["store"] == "wrong"
    assert "SEEDREAM_STORE_URL" in said(damaged, "store")
    nowhere = await visit(NOVITA_API_KEY=KEY, SEEDREAM_STORE_URL="redis://user:hunter2@127.0.0.1:1/0")
    assert states(nowhere)["store"] == "wrong"
    assert "redis://127.0.0.1:1/0" in said(nowhere, "store")
    assert "hunter2" not in as_table(nowhere) + as_text_json(nowhere)


async def test_without_a_home_folder_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> Path:
        raise RuntimeError

    monkeypatch.setattr("platformdirs.user_state_path", nowhere)
    report = await visit(NOVITA_API_KEY=KEY)
    assert states(report)["store"] == "wrong"
    assert "a home folder that is not there" in said(report, "store")


async def test_folders_that_can_not_be_used_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    saving = await visit(**FINE, SEEDREAM_SAVE_DIR=str(tmp_path / "pictures"))
    assert states(saving)["save folder"] == "ok"
    report = await visit(**FINE, SEEDREAM_SAVE_DIR=str(file / "x"), SEEDREAM_INPUT_DIRS=str(tmp_path / "no"))
    assert states(report)["save folder"] == "wrong"
    assert states(report)["input folder"] == "wrong"
    assert str(tmp_path / "no") in said(report, "input folder")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "state", "words"),
    [
        ({}, "note", "none"),
        ({"HTTPS_PROXY": "http://me:hunter2@proxy.example:3128"}, "ok", "http://proxy.example:3128"),
        ({"ALL_PROXY": "http://proxy.example"}, "ok", "http://proxy.example"),
        ({"HTTPS_PROXY": "http://p.example", "NO_PROXY": "api.novita.ai"}, "note", "NO_PROXY"),
        ({"HTTPS_PROXY": "gopher://p.example"}, "wrong", "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://[me:hunter2"}, "wrong", "not shown"),
    ],
)
async def test_the_proxy_in_force_is_named(
    clean: pytest.MonkeyPatch, variables: dict[str, str], state: str, words: str
) -> None:
    for name, value in variables.items():
        clean.setenv(name, value)
    report = await visit(**FINE, **variables)
    assert states(report)["proxy"] == state
    assert words in said(report, "proxy")
    assert "hunter2" not in as_table(report) + as_text_json(report)


async def test_the_certificates_in_force_are_named(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "certifi" in said(await visit(**FINE), "certificates")
    missing, broken = tmp_path / "missing.pem", tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for path in (missing, broken):
        clean.setenv("SSL_CERT_FILE", str(path))
        report = await visit(**FINE, SSL_CERT_FILE=str(path))
        assert states(report)["certificates"] == "wrong"
        assert "SSL_CERT_FILE" in said(report, "certificates")


async def test_it_says_how_a_host_would_find_the_program(tmp_path: Path) -> None:
    uvx = tmp_path / "uvx"
    uvx.touch(0o755)
    assert said(await visit(**FINE, PATH=str(tmp_path)), "launcher").startswith(str(uvx))
    nowhere = await visit(**FINE, PATH=str(tmp_path / "no"))
    assert "absolute path" in said(nowhere, "launcher")
    assert sys.prefix in said(nowhere, "launcher")


async def test_the_hosts_on_this_machine_are_named(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clean.setenv("HOME", str(tmp_path))
    clean.chdir(tmp_path)
    assert "none was found" in said(await visit(**FINE), "hosts")
    files = {
        ".cursor/mcp.json": '{"mcpServers": {"seedream": {"env": {"NOVITA_API_KEY": "hunter2"}}}}',
        ".gemini/settings.json": "{}",
        ".lmstudio/mcp.json": "{",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text(text)
    report = await visit(**FINE)
    found = {one.about: one for one in report.findings}
    assert found["Cursor"].state == "ok"
    assert (found["Gemini CLI"].state, found["LM Studio"].state) == ("note", "warning")
    assert found["Gemini CLI"].remedy == "mcp-server-seedream config gemini-cli --write adds it"
    assert "hunter2" not in as_table(report) + as_text_json(report)
    assert report.well


async def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program itself."""
    command = [sys.executable, "-m", "mcp_server", "doctor", *arguments]
    environment = {**BARE, "NO_PROXY": "*"} | variables
    run = await anyio.run_process(command, env=environment, check=False)
    return subprocess.CompletedProcess(command, run.returncode, run.stdout.decode(), run.stderr.decode())


async def test_the_program_ends_with_1_where_something_is_wrong_and_says_what(tmp_path: Path) -> None:
    emulator = Emulator()
    async with anyio.create_task_group() as tasks:
        url = await tasks.start(emulator.serve)
        variables = {"NOVITA_BASE_URL": url, "SEEDREAM_STORE_URL": f"sqlite:///{tmp_path}/l.db"}
        well = await doctor(NOVITA_API_KEY=KEY, **variables)
        wrong = await doctor("--json", NOVITA_API_KEY="invalid-key", **variables)
        tasks.cancel_scope.cancel()
    assert (well.returncode, well.stderr) == (0, "")
    assert "balance is 10.00 USD" in well.stdout
    assert KEY not in well.stdout
    assert (wrong.returncode, wrong.stderr) == (1, "")
    report = json.loads(wrong.stdout)
    assert report["ok"] is False
    (finding,) = [one for one in report["findings"] if one["state"] == "wrong"]
    assert (finding["about"], "valid key" in finding["remedy"]) == ("API key", True)
    assert max(map(len, well.stdout.splitlines())) <= 160


def test_a_reader_that_has_enough_gets_no_traceback() -> None:
    command = [sys.executable, "-m", "mcp_server", "doctor", "--json"]
    environment = {**BARE, "SEEDREAM_EMULATOR": "1"}
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **streams) as process:
        process.stdout.close()  # type: ignore[union-attr]  # it is a pipe
        assert process.stderr.read() == b""  # type: ignore[union-attr]
        assert process.wait(30) == 1


@pytest.mark.parametrize(("variables", "code"), [({"SEEDREAM_EMULATOR": "1"}, 0), ({}, 1)])
def test_the_exit_code_says_whether_something_is_wrong(
    variables: dict[str, str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_doctor({"SEEDREAM_STORE_URL": "memory://", **variables}, as_json=True) == code
    assert json.loads(capsys.readouterr().out)["ok"] is (code == 0)
