"""Listening sockets, bound before anything serves: the port is known, and a failure is an error."""

import socket

from mcp_server.platforms import have_port_alone


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket that listens on `host`; port 0 takes a free one.

    Raises:
        OSError: the address is in use, or not this machine's.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # The protocol is named, because asyncio sets TCP_NODELAY only where it is: without it, each reply
    # on a kept connection waits 40 ms for the peer's delayed acknowledgement.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        have_port_alone(listener)
        listener.bind(address)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
