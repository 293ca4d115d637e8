"""Reference URLs: those that the API surely can't reach are refused before the request.

Decided by the text alone. No name is resolved and nothing is fetched.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from mcp_server.errors import ImageUnusable

_REMEDY = (
    "pass a URL that anybody on the internet can open, or the image itself as data:image/jpeg;base64,<data>"
)
_PRIVATE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "test", "invalid")


def check_url(url: str, name: str, *, loopback_ok: bool) -> None:
    """Refuse `url` where the API can't reach it; `name` is what errors call it.

    Raises:
        ImageUnusable: no usable URL, or a host that is not on the public internet.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ImageUnusable(f"{name} is not a valid URL", _REMEDY) from None
    # urlsplit drops tabs and line ends in silence; what is checked must be what is sent.
    if not host or any(char.isspace() or not char.isprintable() for char in url):
        raise ImageUnusable(f"{name} is not a valid URL", _REMEDY)
    address = _address(host)
    if loopback_ok and (address.is_loopback if address else _is_named(host, "localhost")):
        return
    if address.is_global and not address.is_multicast if address else _is_public_name(host):
        return
    raise ImageUnusable(
        f"{name} points to a local or private host, which the API can't reach from outside", _REMEDY
    )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells, in any way that a resolver takes (127.1, 0x7f000001, …)."""
    bare = host.partition("%")[0].rstrip(".")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(bare))
        except (OSError, UnicodeEncodeError):
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_named(host: str, domain: str) -> bool:
    bare = host.rstrip(".").lower()
    return bare == domain or bare.endswith("." + domain)


def _is_public_name(host: str) -> bool:
    # A name without a dot is one of somebody's own network.
    return "." in host.rstrip(".") and not any(_is_named(host, name) for name in _PRIVATE_NAMES)
