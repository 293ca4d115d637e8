"""The processes of the load test: each of its own, on a free port of loopback, ended by its id."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

ROOT = Path(__file__).parents[2]
NGINX_CONF = ROOT / "deploy" / "nginx.conf"
CALLERS = ("token:ann", "token:bob", "token:cy")  # the names of the ledger
TOKENS = {name.removeprefix("token:"): f"load-token-of-{name[6:]}" for name in CALLERS}

_START_SECONDS = 30.0
_END_SECONDS = 40.0

Found = TypeVar("Found")


@dataclass(eq=False)
class Process:
    """A process that was started; what it says stands in the file `log`."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def url(self) -> str:
        """The URL in its line `listening on …`, once it is there."""
        return self.wait_for(lambda: re.search(r"listening on (\S+)", self.log.read_text("utf-8")))[1]

    def wait_for(self, look: Callable[[], Found | None]) -> Found:
        """What `look` finds, once it finds something.

        Raises:
            RuntimeError: the process ended, or it took too long; with the end of its log.
        """
        patience = time.monotonic() + _START_SECONDS
        while self.popen.poll() is None and time.monotonic() < patience:
            if found := look():
                return found
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text('utf-8')[-2000:]}")

    def end(self) -> None:
        """Ask it to end, and make it if it does not."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def memory(self, what: str = "VmRSS") -> float:
        """Its resident memory, or with `VmHWM` the most that it was, in MB (Linux only)."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text("ascii")
        return int(status.partition(f"{what}:")[2].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """What it and its children have computed so far (Linux only)."""
        pid = self.popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        ticks = 0
        for one in (str(pid), *children):
            stat = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks += sum(map(int, stat[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


class World:
    """A context manager: what was started in it ends with it, the last first."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._exits = ExitStack()
        self.store_url = f"sqlite://{folder / 'ledger.db'}"
        self.store: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def start(self, name: str, *command: str, **variables: str) -> Process:
        """Start `command` with none of the settings of whoever runs this, but with `variables`."""
        clean = {
            key: text for key, text in os.environ.items() if not key.startswith(("SEEDREAM_", "NOVITA_"))
        }
        log = self._folder / f"{name.replace(' ', '-')}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=clean | variables | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # a Ctrl-C is this program's: it ends them in order
            )
        process = Process(name, popen, log)
        self._exits.callback(process.end)
        return process

    def start_upstream(self) -> str:
        """Start the emulator; its URL."""
        options = ("--latency", str(self._options.latency), "--faults", str(self._options.faults))
        self.upstream = self.start("upstream", sys.executable, "-m", "benchmarks.load.upstream", *options)
        self._upstream_url = self.upstream.url()
        return self._upstream_url

    def start_store(self) -> None:
        """Start Redis, if that is the store."""
        if self._options.store == "redis":
            port = free_port()
            command = (
                program("redis-server", "valkey-server"),
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            )
            self.store = self.start("redis", *command, "--appendonly", "no", "--dir", str(self._folder))
            self.store.wait_for(lambda: answers(port))
            self.store_url = f"redis://127.0.0.1:{port}/0"

    def start_replica(self, number: int, port: int = 0) -> tuple[Process, int]:
        """Start a replica; it, and its port."""
        serve = ("-m", "mcp_server", "serve", "--transport", "http", "--port", str(port))
        name = f"replica {number}{' again' if port else ''}"
        replica = self.start(
            name,
            sys.executable,
            *serve,
            NOVITA_API_KEY="load",
            NOVITA_BASE_URL=self._upstream_url,
            SEEDREAM_STORE_URL=self.store_url,
            SEEDREAM_HTTP_TOKENS=json.dumps(TOKENS),
            SEEDREAM_MAX_CONCURRENCY=str(self._options.clients),
        )
        return replica, int(replica.url().removesuffix("/mcp").rpartition(":")[2])

    def start_nginx(self, ports: list[int]) -> str:
        """Start nginx with the configuration of `deploy/` before the replicas; the URL for clients."""
        port = free_port()
        file = self._folder / "nginx.conf"
        file.write_text(nginx_conf([f"127.0.0.1:{one}" for one in ports], port, self._folder), "utf-8")
        command = (program("nginx"), "-c", str(file), "-e", "stderr", "-g", "daemon off; user root;")
        self.nginx = self.start("nginx", *command)
        self.nginx.wait_for(lambda: answers(port))
        return f"http://127.0.0.1:{port}/mcp"


def nginx_conf(replicas: list[str], port: int, folder: Path) -> str:
    """`deploy/nginx.conf` with other addresses, ports and folders, and otherwise as it is."""
    text = NGINX_CONF.read_text("utf-8")
    servers = "".join(f"        server {replica} max_fails=3 fail_timeout=5s;\n" for replica in replicas)
    text = re.sub(r"( +server seedream-\d:8000 [^\n]*\n)+", servers, text)
    text = text.replace(" /tmp/", f" {folder}/").replace("/dev/stdout", f"{folder}/requests.log")
    text = text.replace("listen 127.0.0.1:8081;", f"listen unix:{folder}/health;")
    return text.replace("listen 8080;", f"listen 127.0.0.1:{port};")


def program(*names: str) -> str:
    """The first of these programs that is here, in a system's folder as well.

    Raises:
        FileNotFoundError: none is.
    """
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin"):
            return found
    raise FileNotFoundError(f"{' or '.join(names)} is not on this machine; it is a package of Debian")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill(process: Process) -> None:
    """What can't be prepared for."""
    process.popen.send_signal(signal.SIGKILL)
    process.popen.wait()


def processor_seconds() -> float:
    """What all processors of the machine have computed so far, for whomever (Linux only)."""
    user, nice, system, _idle, _waiting, *interrupts = Path("/proc/stat").read_text("ascii").split()[1:8]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")
