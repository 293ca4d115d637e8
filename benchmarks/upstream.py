"""The upstream of the benchmarks, a process of its own: one constant reply, at once or after 1 or 2 s.

As little work as can be, so that what is measured is the servers. Prints its URLs.
"""

import asyncio

_BODY = b'{"images": ["https://cdn.example.com/picture.jpg?X-Expires=1&X-Signature=a%2Fb%3D"]}'
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


async def _serve(seconds: float) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            await asyncio.sleep(seconds)
            writer.write(_REPLY)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)


async def _main() -> None:
    servers = [await _serve(seconds) for seconds in (0.0, 1.0, 2.0)]
    urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    print(*urls, flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main())
