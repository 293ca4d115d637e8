"""Names and addresses of machines."""

import ipaddress
import re


def is_host(host: str) -> bool:
    """Whether `host`, in lower case and without brackets, can be a name or an address."""
    return bool(re.fullmatch(r"([a-z0-9_-]+\.)*[a-z0-9_-]+|[0-9a-f:]+:[0-9a-f:.]*", host))


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
