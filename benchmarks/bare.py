"""The yardstick: a bare server of the same SDK, whose one tool does one pooled httpx POST.

`python -m benchmarks.bare [stdio | streamable-http PORT | sse PORT]`
"""

import os
import sys
from typing import TYPE_CHECKING

from mcp.server import MCPServer

if TYPE_CHECKING:
    import httpx

server = MCPServer("bare", log_level="WARNING")
pool: list["httpx.AsyncClient"] = []


@server.tool()
async def generate_image(prompt: str) -> str:
    """Make an image."""
    import httpx

    if not pool:
        unlimited = httpx.Limits(max_connections=None)
        pool.append(
            httpx.AsyncClient(headers={"Authorization": "Bearer bare"}, timeout=180, limits=unlimited)
        )
    reply = await pool[0].post(os.environ["NOVITA_BASE_URL"] + "/v3/seedream-4.0", json={"prompt": prompt})
    text: str = reply.text
    return text


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["streamable-http", port]:
            server.run("streamable-http", port=int(port))
        case ["sse", port]:
            server.run("sse", port=int(port))
        case _:
            server.run()
