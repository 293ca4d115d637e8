"""Reference URLs: those that the API surely can't reach are refused before the request.

Decided by the text alone. No name is resolved and nothing is fetched.
"""

import ipaddress
import re
import socket
import unicodedata
from urllib.parse import urlsplit

from mcp_server.errors import ImageUnusable

_REMEDY = (
    "pass a URL that anybody on the internet can open, or the image itself as data:image/jpeg;base64,<data>"
)
# Names of this machine and of private networks: RFC 6761, 6762, 8375, ICANN's .internal, and habits.
_PRIVATE_NAMES = (
    *("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private"),
    "home.arpa",
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url(url: str, name: str, *, loopback_ok: bool) -> None:
    """Refuse `url` where the API can't reach it; `name` is what errors call it.

    Raises:
        ImageUnusable: no usable URL, or a host that is not on the public internet.
    """
    try:
        parts = urlsplit(url)
        host, _ = unicodedata.normalize("NFKC", parts.hostname or ""), parts.port
    except ValueError:
        raise ImageUnusable(f"{name} is not a valid URL", _REMEDY) from None
    # urlsplit drops tabs and line ends in silence; what is checked must be what is sent. Escapes and
    # backslashes in the host are read differently by different programs.
    if re.search(r"[\\%]", parts.netloc.partition("%25")[0]) or not _is_plain(url) or not host:
        raise ImageUnusable(f"{name} is not a valid URL", _REMEDY)
    address = _address(host)
    if loopback_ok and (address.is_loopback if address else _is_named(host, "localhost")):
        return
    if _is_public_address(address) if address else _is_public_name(host):
        return
    raise ImageUnusable(
        f"{name} points to a local or private host, which the API can't reach from outside", _REMEDY
    )


def _is_plain(url: str) -> bool:
    return url.isprintable() and not any(char.isspace() for char in url)


def _address(host: str) -> Address | None:
    """The address that `host` spells, in any way that a resolver takes (127.1, 0x7f000001, …)."""
    bare = host.partition("%")[0].rstrip(".")
    try:
        return _unwrapped(ipaddress.ip_address(bare))
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(bare))
        except (OSError, UnicodeEncodeError):
            return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where it is one of the ways to write or carry it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public_address(address: Address) -> bool:
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not site_local


def _is_named(host: str, domain: str) -> bool:
    bare = host.rstrip(".").lower()
    return bare == domain or bare.endswith("." + domain)


def _is_public_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    # A name without a dot is one of somebody's own network; one that ends in a number is no name.
    if len(labels) < 2 or not all(labels) or labels[-1].isdecimal():
        return False
    return not any(_is_named(host, name) for name in _PRIVATE_NAMES)
