"""What a doctor looks at. Each check finds one thing, changes nothing but what a server's start would."""

import platform
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from mcp_server import __version__
from mcp_server.doctor.network import check_network
from mcp_server.doctor.report import Finding, Report, State
from mcp_server.doctor.settings import shown_settings
from mcp_server.environment import SettingsError, check_extras, read_settings, unknown_variables
from mcp_server.errors import (
    Authentication,
    NotConfigured,
    SeedreamError,
    UpstreamError,
    UpstreamUnavailable,
)
from mcp_server.settings import Settings

_LIBRARIES = ("mcp", "httpx", "pydantic", "pillow")
_IN_THE_HOST = "in this server's configuration in the host, then restart the host"
_UNITS_PER_DOLLAR = 10_000


async def examine(environ: Mapping[str, str], *, transport: httpx.AsyncBaseTransport | None = None) -> Report:
    """Everything, in the order in which a person would mend it. `transport` replaces the network in tests."""
    findings = [_versions(), *_unknown(environ)]
    try:
        settings = read_settings(environ)
        check_extras(settings)
    except SettingsError as error:
        wrong = [Finding("settings", "wrong", line, _remedy(line)) for line in str(error).splitlines()]
        return Report([*findings, *wrong, _launcher(environ), *_hosts(environ)])
    findings.append(Finding("settings", "ok", "every value can be used"))
    findings += [
        *check_network(environ, settings.base_url),
        await _key(settings, transport),
        await _store(settings),
        _save_folder(settings),
        *_input_folders(settings),
        _launcher(environ),
        *_hosts(environ),
    ]
    return Report(findings, shown_settings(environ, settings))


def _versions() -> Finding:
    python = f"Python {platform.python_version()} ({sys.executable})"
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    program = f"mcp-server-seedream {__version__}"
    return Finding("versions", "ok", f"{program}, {python}, {libraries}, {platform.platform()}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "of unknown version"


def _unknown(environ: Mapping[str, str]) -> list[Finding]:
    return [
        Finding(
            name,
            "warning",
            "is set, but is no setting of this version: it is ignored",
            f"write {meant} instead, {_IN_THE_HOST}" if meant else f"take it out, {_IN_THE_HOST}",
        )
        for name, meant in unknown_variables(environ).items()
    ]


def _remedy(line: str) -> str:
    if "install '" in line:
        return "install that extra beside this server"
    return f"set {line.split(maxsplit=1)[0]} to a value that is one, {_IN_THE_HOST}"


async def _key(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> Finding:
    """Whether the key is there and accepted, by the balance call, which is free."""
    about = "API key"
    if settings.emulator:
        return Finding(about, "ok", "none is needed: SEEDREAM_EMULATOR is on, and nothing is billed")
    if settings.api_key is None:
        remedy = f"get a key at https://novita.ai and put it into NOVITA_API_KEY {_IN_THE_HOST}; to try the "
        remedy += "server without one, and for free, set SEEDREAM_EMULATOR=1 instead"
        return Finding(
            about, "wrong", "NOVITA_API_KEY is not set here (keys in hosts' files are not read)", remedy
        )
    from mcp_server.client import SeedreamClient

    host = urlsplit(settings.base_url).netloc
    try:
        client = SeedreamClient(
            settings.base_url,
            settings.api_key.get_secret_value(),
            timeout_seconds=settings.timeout_seconds,
            transport=transport,
        )
        try:
            said = await client.balance()
        finally:
            await client.aclose()
    except Authentication as error:
        return Finding(about, "wrong", error.problem, f"put a valid key into NOVITA_API_KEY {_IN_THE_HOST}")
    except (UpstreamUnavailable, NotConfigured) as error:
        return Finding(about, "wrong", f"could not be tried: {error.problem}", error.remedy)
    except UpstreamError as error:
        remedy = "check NOVITA_BASE_URL; a host that has no balance call may take the key all the same"
        return Finding(about, "warning", f"could not be tried at {host}: {error.problem}", remedy)
    return _balance(said, host)


def _balance(said: object, host: str) -> Finding:
    try:
        dollars = float(said["availableBalance"]) / _UNITS_PER_DOLLAR  # type: ignore[index]  # of unknown shape
    except (KeyError, TypeError, ValueError):
        return Finding("API key", "ok", f"accepted by {host}; it told no balance")
    found = f"accepted by {host}; the balance is {dollars:.2f} USD"
    if dollars > 0:
        return Finding("API key", "ok", found)
    return Finding("API key", "wrong", found, "top up the account at Novita: until then every call fails")


async def _store(settings: Settings) -> Finding:
    """Whether the ledger can be opened, which makes its file where there is none."""
    from mcp_server.generations.ledger import LedgerError
    from mcp_server.generations.stores import open_ledger

    where = _store_name(settings)
    ledger = open_ledger(settings.store_url, f"doctor-{secrets.token_hex(4)}", lambda: datetime.now(UTC))
    try:
        await ledger.check()
    except LedgerError as error:
        remedy = "mend it, or name another by SEEDREAM_STORE_URL; until then the record of what was paid for "
        return Finding("store", "wrong", f"{where} can't be used: {error}", f"{remedy}is in memory alone")
    finally:
        await ledger.close()
    return Finding("store", "ok", where)


def _store_name(settings: Settings) -> str:
    from mcp_server.generations.stores import default_path, redis_name, sqlite_path

    url = settings.store_url
    if url == "memory://":
        return "memory, which ends with each process"
    if url and settings.shared:
        return redis_name(url)
    try:
        return str(sqlite_path(url) if url else default_path())
    except RuntimeError:
        return "a file in a home folder that is not there"


def _save_folder(settings: Settings) -> Finding:
    from mcp_server.pictures.save import check_folder

    if settings.save_dir is None:
        return Finding("save folder", "note", "pictures are not saved, and their links end after about a day")
    try:
        check_folder(settings.save_dir)
    except SeedreamError as error:
        return Finding("save folder", "wrong", error.problem, error.remedy)
    return Finding("save folder", "ok", str(settings.save_dir))


def _input_folders(settings: Settings) -> list[Finding]:
    return [
        Finding(
            "input folder",
            "wrong",
            f"{folder}, of SEEDREAM_INPUT_DIRS, is no folder",
            f"make it, or take it out {_IN_THE_HOST}",
        )
        for folder in settings.input_dirs or ()
        if not folder.is_dir()
    ]


def _launcher(environ: Mapping[str, str]) -> Finding:
    """How a host would start this server; hosts often have a shorter PATH than a shell."""
    path = environ.get("PATH")
    found = shutil.which("mcp-server-seedream", path=path) or shutil.which("uvx", path=path)
    if found:
        return Finding("launcher", "ok", found)
    program = Path(sys.executable).with_name("mcp-server-seedream")
    command = program if program.exists() else f"{sys.executable} -m mcp_server"
    remedy = f"hosts need the absolute path of this program as their command: {command}"
    return Finding("launcher", "warning", "neither uvx nor mcp-server-seedream is on the PATH", remedy)


def _hosts(environ: Mapping[str, str]) -> list[Finding]:
    """The hosts on this machine, and which of them have this server."""
    from mcp_server.config.command import hosts_here
    from mcp_server.config.places import this_machine

    found = []
    for host, file, state in hosts_here(replace(this_machine(), environ=environ)):
        remedy = None if state == "configured" else f"mcp-server-seedream config {host.id} --write adds it"
        if state.startswith("not known"):
            remedy = f"mend {file}, or look there yourself"
        kind: State = "ok" if state == "configured" else "warning" if "known" in state else "note"
        found.append(Finding(host.title, kind, f"{state}, in {file}", remedy))
    return found or [Finding("hosts", "note", "none was found on this machine")]
