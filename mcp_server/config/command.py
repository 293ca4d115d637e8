"""`config`: a host's configuration printed, shown as a difference, or written; which hosts are here."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_server.config import files
from mcp_server.config.edits import Refused
from mcp_server.config.hosts import Host
from mcp_server.config.launch import own_command
from mcp_server.config.merge import configured, difference, merged, snippet
from mcp_server.config.parts import LITERAL_KEY
from mcp_server.config.places import Machine, also_read, file_of, is_here, this_machine
from mcp_server.config.shapes import local_entry, remote_entry
from mcp_server.config.table import BY_ID, HOSTS


class _Usage(Exception):
    """What is wrong with the command line."""


def run(arguments: argparse.Namespace, machine: Machine | None = None) -> int:
    """Do what `arguments` say and return the exit code."""
    machine = machine or this_machine()
    try:
        if arguments.list:
            return _list(arguments, machine)
        host = _host(arguments.host)
        entry = _entry(host, arguments.remote, machine)
        path = Path(arguments.file).absolute() if arguments.file else file_of(host, machine)
        if not (arguments.diff or arguments.write):
            _print(host, entry, path, remote=arguments.remote is not None)
            return 0
        if path is None:
            raise _Usage(f"{host.title} has no file of its own on this system; name one with --file")
    except _Usage as error:
        return _say(str(error), 2)
    try:
        return _change(host, entry, path, write=arguments.write)
    except Refused as error:
        return _say(f"{path} is left as it is: {error}", 1)


def hosts_here(machine: Machine) -> Iterator[tuple[Host, Path, str]]:
    """Each host on this machine, the file that tells, and `configured`, `not configured` or the hindrance."""
    for host in HOSTS:
        if not is_here(host, machine):
            continue
        path = file_of(host, machine)
        states = [(_state(host, file), file) for file in (path, *also_read(host, machine)) if file]
        state, file = min(states, key=lambda one: (one[0] != "configured", one[0] == "not configured"))
        yield host, file, state


def _state(host: Host, path: Path) -> str:
    try:
        return "configured" if configured(host, files.read(path).text) else "not configured"
    except Refused as error:
        return f"not known: {error}"


def _list(arguments: argparse.Namespace, machine: Machine) -> int:
    if arguments.host or arguments.remote or arguments.write or arguments.diff or arguments.file:
        raise _Usage("--list stands alone")
    here = list(hosts_here(machine))
    if not here:
        _say(f"no host was found here; those that are known: {', '.join(BY_ID)}", 0)
    width = max((len(host.id) for host, _, _ in here), default=0)
    for host, path, state in here:
        print(f"{host.id:<{width}}  {state:<14}  {path}")
    return 0


def _host(name: str | None) -> Host:
    known = f"known are {', '.join(BY_ID)}"
    if name is None:
        raise _Usage(f"name a host, or --list; {known}")
    asked = _plain(name)
    found = [host for host in HOSTS if asked in (_plain(host.id), _plain(host.title))]
    found = found or [host for host in HOSTS if asked and _plain(host.id).startswith(asked)]
    if len(found) != 1:
        meant = f", or which of {', '.join(host.id for host in found)} is meant" if found else ""
        raise _Usage(f"there is no host {name!r}{meant}; {known}")
    return found[0]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _entry(host: Host, remote: str | None, machine: Machine) -> dict[str, Any]:
    if remote is None:
        return local_entry(host, *own_command(machine.environ))
    from urllib.parse import urlsplit

    from mcp_server.network_settings import check_url

    try:
        url = check_url(remote)
    except ValueError as error:
        raise _Usage(f"--remote {error}") from None
    entry = remote_entry(host, url if urlsplit(url).path else f"{url}/mcp")
    if entry is None:
        kind = "by SSE" if host.http else "on the network from its file"
        raise _Usage(f"{host.title} takes no server {kind}. {host.note}".strip())
    return entry


def _print(host: Host, entry: Mapping[str, Any], path: Path | None, *, remote: bool) -> None:
    print(snippet(host, entry), end="")
    where = f"{host.title} reads {path}" if path else f"{host.title}: see its documents for the file"
    _say(where + (f", in a project {host.project}" if host.project and host.project != str(path) else ""), 0)
    if remote:
        _say(f"the token: {host.token}", 0)
    else:
        _say(f"the key: {host.key}", 0)
        _say("the command is an absolute path, since a host may not have your PATH", 0)
    if host.note:
        _say(host.note, 0)
    if path:
        _say("--diff shows what --write would change there", 0)


def _change(host: Host, entry: Mapping[str, Any], path: Path, *, write: bool) -> int:
    original = files.read(path)
    before = original.text
    after = merged(host, before, entry)
    if after == before:
        return _say(f"{path} has it already: nothing to change", 0)
    for line in difference(host, entry, str(path), before, after):
        print(line)
    if not write:
        return _say(
            "nothing was written; --write does it. Values of others are hidden here, never changed", 0
        )
    backup = files.replace(original, after, datetime.now(UTC))
    _say(f"{path} is written" + (f"; what was there is in {backup}" if backup else ""), 0)
    own = LITERAL_KEY in after
    key = f"put your key in place of {LITERAL_KEY} in that file" if own else f"the key: {host.key}"
    return _say(f"{key}. Then restart {host.title}", 0)


def _say(words: str, code: int) -> int:
    print(f"mcp-server-seedream: {words}", file=sys.stderr)
    return code
