"""`make bench`: what references of 10 MB cost, by file, beside a plain `json=` request of the same.

Peak memory is read from outside, from the kernel's high-water mark of the process (Linux only).
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mcp import Client, StdioServerParameters
from PIL import Image

SIZE = 10 * 1024**2
PLAIN = """
import base64, json, os, sys, time, httpx
paths = json.loads(sys.stdin.readline())
small = httpx.post(os.environ["NOVITA_BASE_URL"], json={"images": ["x"]}, timeout=180)
print(os.getpid(), flush=True); sys.stdin.readline()
images = ["data:image/jpeg;base64," + base64.b64encode(open(path, "rb").read()).decode() for path in paths]
started = time.perf_counter()
httpx.post(os.environ["NOVITA_BASE_URL"], json={"prompt": "x", "images": images}, timeout=180)
print(time.perf_counter() - started, flush=True); sys.stdin.readline()
"""


def _jpeg(path: Path) -> None:
    """A real JPEG of just under 10 MB: noise, so that it is all picture."""
    quality, side = 95, 3400
    while True:
        output = io.BytesIO()
        Image.frombytes("L", (side, side), os.urandom(side * side)).save(output, "JPEG", quality=quality)
        if output.tell() <= SIZE:
            path.write_bytes(output.getvalue())
            return
        side -= 50


def _peak(pid: int) -> int:
    """The process's high-water mark of resident memory, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _child(parent: int) -> int:
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()[-1])


async def _ours(paths: list[str], url: str, warm: str) -> tuple[float, float]:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_server"],
        env={"NOVITA_BASE_URL": url, "NOVITA_API_KEY": "bench"},
    )
    async with Client(server) as client:
        pid = _child(os.getpid())
        # The first call imports the client and Pillow; what is measured is what the references cost.
        await client.call_tool("edit_image", {"prompt": "x", "images": [warm]})
        before, started = _peak(pid), time.perf_counter()
        result = await client.call_tool("edit_image", {"prompt": "x", "images": paths})
        seconds = time.perf_counter() - started
        if result.is_error:
            raise RuntimeError(result.content)
        return seconds, (_peak(pid) - before) / 1024**2


def _plain(paths: list[str], url: str) -> tuple[float, float]:
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"NOVITA_BASE_URL": url},
    ) as process:
        assert process.stdin  # noqa: S101 - for the type checker
        assert process.stdout  # noqa: S101 - as above
        process.stdin.write(json.dumps(paths) + "\n")
        process.stdin.flush()
        pid = int(process.stdout.readline())
        before = _peak(pid)
        process.stdin.write("\n")
        process.stdin.flush()
        seconds = float(process.stdout.readline())
        peak = _peak(pid)
        process.stdin.close()
    return seconds, (peak - before) / 1024**2


def main() -> None:
    """Print a row for 1, 4 and 10 references."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.upstream"], stdout=subprocess.PIPE, text=True
        ) as upstream,
    ):
        try:
            url = (upstream.stdout.readline() if upstream.stdout else "").split()[0]
            first, warm = Path(folder, "0.jpg"), Path(folder, "warm.jpg")
            _jpeg(first)
            Image.new("RGB", (64, 64)).save(warm)
            paths = [str(first)]
            for number in range(1, 10):
                copy = Path(folder, f"{number}.jpg")
                copy.write_bytes(first.read_bytes())
                paths.append(str(copy))
            size = first.stat().st_size / 1024**2
            for count in (1, 4, 10):
                ours = asyncio.run(_ours(paths[:count], url, str(warm)))
                plain = _plain(paths[:count], url)
                print(
                    f"{count} files x {size:.1f} MB: +{ours[1]:.0f} MB in {ours[0]:.2f} s, "
                    f"plain json= +{plain[1]:.0f} MB in {plain[0]:.2f} s"
                )
        finally:
            upstream.terminate()


if __name__ == "__main__":
    main()
