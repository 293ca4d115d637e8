"""The command line. Thin: it reads arguments and settings, and calls what does the work.

Exit codes: 0, 1 for a failure, 2 for wrong usage, a wrong setting included.
"""

import argparse
import errno
import gc
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from mcp_server import __version__
from mcp_server.log import configure_logging
from mcp_server.platforms import ending_signals, print_anything

logger = logging.getLogger(__name__)

COMMANDS = ("serve", "demo", "emulator", "config", "doctor")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's) and return its exit code."""
    print_anything((sys.stdout, sys.stderr))
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0] not in COMMANDS and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, "serve")  # hosts run the bare command
    arguments = parser().parse_args(given)
    commands = {
        "serve": lambda: _serve(arguments, os.environ),
        "demo": lambda: _demo(arguments),
        "emulator": lambda: _emulator(arguments),
        "config": lambda: _config(arguments),
        "doctor": lambda: _doctor(arguments),
    }
    try:
        return commands[arguments.command]()
    except KeyboardInterrupt:  # pragma: no cover - a signal to a process of its own, whose count is a race
        return 0


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="mcp-server-seedream",
        description="An MCP server for Seedream images. Without a command it serves stdio, as hosts run it.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(
        dest="command", required=True, metavar="{serve,demo,emulator,config,doctor}"
    )
    serve = commands.add_parser("serve", help="serve MCP (the default)")
    serve.add_argument("--transport", choices=("stdio", "http", "sse"), default="stdio")
    serve.add_argument("--host", help="for http and sse; any but loopback needs a token (default 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="for http and sse; 0 takes a free one (default 8000)")
    demo = commands.add_parser("demo", help="run both tools against the emulator, for free")
    demo.add_argument("--folder", help="where the pictures go; default: a new temporary folder")
    demo.add_argument(
        "--latency", type=_seconds, default=4.0, help="seconds that the emulated API takes (default 4)"
    )
    emulator = commands.add_parser("emulator", help="serve an emulation of the API on loopback")
    emulator.add_argument("--port", type=_port, default=8787, help="0 takes a free one (default 8787)")
    emulator.add_argument(
        "--api-key", help="take only this key; by default any that does not begin with 'invalid'"
    )
    emulator.add_argument("--latency", type=_seconds, default=0.0, help="seconds before each reply")
    emulator.add_argument(
        "--link-seconds", type=_seconds, default=86_400.0, help="how long links work (default 24 h)"
    )
    emulator.add_argument(
        "--fault", action="append", default=[], metavar="JSON", help="misbehave; see the README"
    )
    config = commands.add_parser("config", help="print or write the configuration of a host")
    config.add_argument("host", nargs="?", metavar="HOST", help="such as cursor, codex, claude-desktop")
    config.add_argument("--list", action="store_true", help="show the hosts on this machine")
    config.add_argument(
        "--remote", metavar="URL", help="for a server on the network, not one on this machine"
    )
    config.add_argument("--file", help="another file of the host's than the usual one, such as a project's")
    what = config.add_mutually_exclusive_group()
    what.add_argument("--diff", action="store_true", help="show what --write would change")
    what.add_argument("--write", action="store_true", help="change the host's file, keeping a copy")
    doctor = commands.add_parser("doctor", help="say what is wrong with the settings, and what to do")
    doctor.add_argument("--json", action="store_true", help="for programs")
    return top


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text[:9]) <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 10**9:
        raise argparse.ArgumentTypeError("seconds are a number that is not negative")
    return seconds


def _serve(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    for number in ending_signals():  # until the server takes them over: nothing is begun yet
        signal.signal(number, lambda *_: os._exit(0))
    # While the SDK's many models are imported, a garbage collection finds nothing and costs a tenth of the
    # start; what is there afterwards stays, so later collections need not look at it.
    gc.disable()
    # The SDK before our own models: the other order is slower.
    from mcp_server.http.serve import bind, serve_http  # isort: skip
    import anyio

    from mcp_server.environment import SettingsError, check_extras, left_out, read_settings, unknown_variables
    from mcp_server.stdio import serve_stdio
    from mcp_server.telemetry.export import exporting

    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
    try:
        settings = read_settings(environ)
        check_extras(settings)
    except SettingsError as error:
        print(f"mcp-server-seedream: {error}", file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    for name in left_out(environ):
        logger.warning("%s was left out in the host's settings: it counts as unset", name)
    for name, meant in unknown_variables(environ).items():
        asked = f"; did you mean {meant}?" if meant else ""
        logger.warning("%s is set, but is no setting of this version: ignored%s", name, asked)
    if arguments.transport == "stdio":
        if problem := _why_not_stdio(arguments):
            print(f"mcp-server-seedream: {problem}", file=sys.stderr)
            return 2
        with exporting(environ):
            anyio.run(serve_stdio, settings)
        return 0
    host, port = arguments.host or "127.0.0.1", 8000 if arguments.port is None else arguments.port
    try:
        listener = bind(host, port, settings)
    except ValueError as error:
        print(f"mcp-server-seedream: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        return _cannot_listen(error, port, host)
    with exporting(environ):
        anyio.run(lambda: serve_http(settings, listener, streamable=arguments.transport == "http"))
    return 0


def _why_not_stdio(arguments: argparse.Namespace) -> str | None:
    if arguments.host is not None or arguments.port is not None:
        return "--host and --port need --transport http or sse"
    if sys.stdin is None or sys.stdout is None:
        return "stdin or stdout is closed. Hosts start this with both; --transport http needs none"
    return None


def _demo(arguments: argparse.Namespace) -> int:
    from mcp_server.demo import run_demo

    try:
        return run_demo(arguments.folder, arguments.latency)
    except OSError as error:
        print(f"mcp-server-seedream: the demo failed: {error}", file=sys.stderr)
        return 1


def _config(arguments: argparse.Namespace) -> int:
    from mcp_server.config.command import run

    return run(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from mcp_server.doctor import run_doctor

    return run_doctor(os.environ, as_json=arguments.json)


def _emulator(arguments: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from mcp_server.emulator import run
    from mcp_server.emulator.faults import Fault

    configure_logging("INFO")
    try:
        faults = [Fault.model_validate_json(text) for text in arguments.fault]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("--fault", *first["loc"])))
        print(f"mcp-server-seedream: {where}: {first['msg']}", file=sys.stderr)
        return 2
    try:
        return run(
            port=arguments.port,
            api_key=arguments.api_key,
            latency=arguments.latency,
            link_seconds=arguments.link_seconds,
            faults=faults,
        )
    except OSError as error:
        return _cannot_listen(error, arguments.port)


def _cannot_listen(error: OSError, port: int, host: str = "127.0.0.1") -> int:
    reason = f"can't listen on {host!r}, port {port}: {error.strerror}"
    if error.errno in (errno.EADDRINUSE, errno.EACCES):  # the latter on Windows, for the same
        reason = f"can't listen on port {port}: {error.strerror}. "
        reason += "Another --port may be free; 0 takes one that is"
    print(f"mcp-server-seedream: {reason}", file=sys.stderr)
    return 1
