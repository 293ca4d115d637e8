"""`make load`: clients without pause, a replica killed and one stopped in the middle, and the audit.

Exit code 1 if the audit fails. Everything runs here, as processes on loopback, and is free.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from benchmarks.load import report
from benchmarks.load.audit import audit, read_rows
from benchmarks.load.clients import read
from benchmarks.load.world import CALLERS, TOKENS, Process, World, kill, processor_seconds

_WORKERS = 2
_SDK_SHARE = 15  # one of so many clients is the SDK's, in each era
_AWAY_SECONDS = 3.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long new calls begin (default 60)")
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--latency", type=float, default=2.0, help="seconds that the upstream takes")
    parser.add_argument("--faults", type=float, default=0.02, help="share of its requests that go wrong")
    parser.add_argument("--store", choices=("redis", "sqlite"), default="redis")
    parser.add_argument("--calm", action="store_true", help="kill and stop no replica")
    return parser.parse_args()


def _clients(count: int, *, legacy: bool) -> dict[str, list[int]]:
    """Numbers of the clients by kind; replicas share sessions of the older era only by Redis."""
    kinds: dict[str, list[int]] = {"lean": [], "sdk": [], "legacy": []}
    for number in range(count):
        kinds[{0: "sdk", 1: "legacy" if legacy else "lean"}.get(number % _SDK_SHARE, "lean")].append(number)
    return kinds


def _start_clients(
    world: World, folder: Path, url: str, kinds: dict[str, list[int]], until: float
) -> list[tuple[Process, Path]]:
    """The processes that the clients are spread over, each with the file that it will write."""
    workers = []
    for number in range(_WORKERS):
        orders, results = folder / f"orders-{number}.json", folder / f"intents-{number}.jsonl"
        clients = {kind: numbers[number::_WORKERS] for kind, numbers in kinds.items()}
        order = {"url": url, "until": until, "tokens": TOKENS, "clients": clients}
        orders.write_text(json.dumps(order), "utf-8")
        command = (sys.executable, "-m", "benchmarks.load.clients", str(orders), str(results))
        workers.append((world.start(f"clients {number}", *command), results))
    return workers


@dataclass
class Replicas:
    """The replicas, those of before included, and what they took."""

    running: list[tuple[Process, int]]
    lines: list[str] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)

    def note(self, position: int, how: str) -> Process:
        """Note the figures of a replica before it ends."""
        replica, _ = self.running[position]
        self.lines.append(
            f"  {replica.name}: {self.idle[position]:.0f} MB idle, {replica.memory():.0f} MB at the end, "
            f"{replica.memory('VmHWM'):.0f} MB at most, {replica.cpu_seconds():.1f} s of CPU ({how})"
        )
        return replica


def _disturb(world: World, replicas: Replicas, started: float, seconds: float) -> float:
    """Kill a replica after a third of the time, end one gently after two; both come back.

    Returns when the first died.
    """
    _sleep_until(started + seconds / 3)
    killed_at = time.monotonic()
    kill(replicas.note(0, "killed"))
    time.sleep(_AWAY_SECONDS)
    replicas.running[0] = world.start_replica(1, replicas.running[0][1])
    _sleep_until(started + seconds * 2 / 3)
    replicas.note(1, "stopped gently").end()
    replicas.running[1] = world.start_replica(2, replicas.running[1][1])
    return killed_at


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _run(options: argparse.Namespace, world: World, folder: Path) -> bool:
    upstream_url = world.start_upstream()
    world.start_store()
    count = options.replicas
    replicas = Replicas([world.start_replica(number + 1) for number in range(count)])
    url = world.start_nginx([port for _, port in replicas.running])
    replicas.idle = [replica.memory() for replica, _ in replicas.running]
    busy, started = processor_seconds(), time.monotonic()
    clients = _clients(options.clients, legacy=options.store == "redis")
    workers = _start_clients(world, folder, url, clients, started + options.seconds)
    killed_at = 0.0 if options.calm else _disturb(world, replicas, started, options.seconds)
    for worker, _ in workers:
        if worker.popen.wait(options.seconds + 120):
            raise RuntimeError(f"clients failed:\n{worker.log.read_text('utf-8')[-2000:]}")
    intents = [intent for _, results in workers for intent in read(results)]
    seconds = max(call.ended for intent in intents for call in intent.calls) - started
    for position in range(count):
        replicas.note(position, "to the end")
    with urllib.request.urlopen(f"{upstream_url}/billed") as reply:  # noqa: S310 - of this run
        upstream = json.load(reply)
    busy = (processor_seconds() - busy) / (time.monotonic() - started)
    report.calls(intents, seconds, options.latency, options.clients)
    report.processes(replicas.lines, world)
    report.machine(busy)
    rows = anyio.run(read_rows, world.store_url, CALLERS)
    found = audit(upstream["billed"], rows, intents, killed_at)
    report.findings(found, upstream["requests"], rows)
    return found.holds


def main() -> int:
    """Run it in a temporary folder, which is kept only if something failed."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="seedream-load-"))
    holds = False
    try:
        with World(folder, options) as world:
            holds = _run(options, world, folder)
    except KeyboardInterrupt:
        return 130
    except (FileNotFoundError, RuntimeError) as error:
        print(error, file=sys.stderr)
    finally:
        if holds:
            shutil.rmtree(folder)
        else:
            print(f"Logs: {folder}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
