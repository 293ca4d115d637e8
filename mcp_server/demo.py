"""The demo: both tools, for real, against an emulator process, through a server process over stdio.

Nothing of the server is imported: it is spawned and spoken to as a host would.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from mcp import Client, StdioServerParameters

BATCH = {
    "prompt": "3 images of the same lighthouse: at dawn, at noon, at night",
    "sequential_image_generation": "auto",
    "max_images": 3,
    "size": "2K",
}


def run_demo(folder: str | None, latency: float) -> int:
    """Run the demo, print what happens, and return the exit code. `latency` is in seconds."""
    target = Path(folder or tempfile.mkdtemp(prefix="seedream-demo-")).resolve()
    target.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_demo(target, latency))


async def _demo(target: Path, latency: float) -> int:
    async with AsyncExitStack() as stack:
        with _timed("emulator started"):
            url = await stack.enter_async_context(_emulator(latency))
        print(f"  {url} (open it in a browser while the demo runs)")
        with _timed("server started over stdio, tools listed"):
            server = StdioServerParameters(
                command=sys.executable,
                args=["-m", "mcp_server"],
                env={"NOVITA_BASE_URL": url, "NOVITA_API_KEY": "demo", "SEEDREAM_STORE_URL": "memory://"},
            )
            client = await stack.enter_async_context(Client(server))
            tools = (await client.list_tools()).tools
        print("  " + ", ".join(tool.name for tool in tools))
        links = await _call(
            client, target, "generate_image", {"prompt": "A lighthouse on a cliff, oil on canvas"}
        )
        links += await _call(client, target, "generate_image", BATCH)
        edit = {"prompt": "Make it winter, with snow on the rocks", "images": links[:1]}
        links += await _call(client, target, "edit_image", edit)
    print(f"\n{len(links)} pictures in {target}")
    return 0


async def _call(client: Client, target: Path, tool: str, arguments: dict[str, Any]) -> list[str]:
    """Call a tool, print what a host would see of it, and save its pictures. Returns the links."""
    print(f"\n{tool} {arguments['prompt']!r}")

    async def show(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK gives three
        print(f"  … {message}")

    with _timed("answered"):
        result = await client.call_tool(tool, arguments, progress_callback=show)
    if result.is_error or not isinstance(result.structured_content, dict):
        raise SystemExit(f"the call failed: {result.content}")  # pragma: no cover - a broken install
    urls = [image["url"] for image in result.structured_content["images"]]
    async with httpx.AsyncClient(trust_env=False) as http:
        with _timed("saved"):
            for number, url in enumerate(urls, 1):
                picture = await http.get(url)
                picture.raise_for_status()
                file = target / f"{tool}-{result.structured_content['generation_id']}-{number}.jpg"
                file.write_bytes(picture.content)
                print(f"  {url}\n    -> {file}")
    return urls


@asynccontextmanager
async def _emulator(latency: float) -> AsyncIterator[str]:
    """An emulator as a process of its own on a free port; its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mcp_server", "emulator", "--port", "0", "--latency", str(latency)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    try:
        line = (await process.stdout.readline()).decode()
        if "http://" not in line:
            raise SystemExit("the emulator did not start")  # pragma: no cover - a broken install
        yield line.split()[-1]
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextmanager
def _timed(step: str) -> Iterator[None]:
    """Print the step with the time that the block took."""
    started = time.perf_counter()
    yield
    print(f"  [{time.perf_counter() - started:5.2f} s] {step}")
