"""A success of the API: its picture links, or the error that it is in truth."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp_server.client.failures import what_it_says
from mcp_server.errors import BadUpstreamReply

_REMEDY = (
    "do not repeat the call by yourself: it may be billed a second time. Tell the person, who can look at "
    "the account's usage page and decide"
)
LONGEST_URL = 4_096


@dataclass(frozen=True, slots=True)
class Reply:
    """The picture links of a success, and how many of its items were none."""

    urls: tuple[str, ...]
    unusable: int = 0


def read_reply(body: bytes, most: int, secret: str) -> Reply:
    """The links in the body of a success, byte-exact and in order, at most `most`.

    Items may be strings, or objects with `url` or `image_url`. An item that is no http(s) URL is left
    out and counted, so that one bad link loses no good one.

    Raises:
        BadUpstreamReply: no JSON, no `images`, or no usable link in it.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        raise BadUpstreamReply("The API said success, but its reply is not JSON", _REMEDY) from None
    images = reply.get("images") if isinstance(reply, dict) else None
    if not isinstance(images, list):
        said = what_it_says(reply, secret)
        raise BadUpstreamReply(f"The API said success, but its reply holds no images{said}", _REMEDY)
    urls = tuple(url for item in images for url in _urls_of(item) if _is_usable(url))[:most]
    if not urls:
        raise BadUpstreamReply("The API said success, but its list of images is empty or unusable", _REMEDY)
    return Reply(urls, len(images) - len(urls))


def _urls_of(item: object) -> Iterator[str]:
    candidates = (item.get("url"), item.get("image_url")) if isinstance(item, dict) else (item,)
    yield from [url for url in candidates if isinstance(url, str)][:1]


def _is_usable(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return (
        url.startswith(("https://", "http://"))
        and len(url) <= LONGEST_URL
        and url.isprintable()
        and not any(char.isspace() for char in url)
    )
