"""Reference images: each entry of `images`, checked and made into what the API takes.

Nothing is fetched: a URL is the API's to load. A data: URI is checked from its bytes.
"""

from dataclasses import dataclass

from anyio import to_thread

from mcp_server.errors import ImageUnusable
from mcp_server.limits import Limits
from mcp_server.references.url import check_url

_REMEDY = "pass a public https URL, or the image itself as data:image/jpeg;base64,<data>"


@dataclass(frozen=True, slots=True)
class References:
    """Checked references in the caller's order, as they go on the wire, and what is to be said."""

    wire: tuple[str, ...]
    warnings: tuple[str, ...] = ()


async def check_references(images: tuple[str, ...], limits: Limits, *, loopback_ok: bool) -> References:
    """Check every entry of `images` against the documented rules.

    `loopback_ok` admits URLs on this machine, for an API that is on it too.

    Raises:
        ImageUnusable: names the entry by its index, what is wrong, and what to do instead.
    """
    wire: list[str] = []
    warnings: list[str] = []
    for index, image in enumerate(images):
        name, entry = f"images[{index}]", image.strip()
        scheme = entry[:8].partition(":")[0].lower()
        if scheme == "data":
            # Pillow is imported only for calls that bring image data. The check decodes up to 10 MB,
            # so it runs beside the event loop.
            from mcp_server.references.data_uri import check_data_uri

            checked, warning = await to_thread.run_sync(check_data_uri, entry, name, limits)
            wire.append(checked)
            warnings.extend(filter(None, [warning]))
        elif scheme in ("http", "https"):
            check_url(entry, name, loopback_ok=loopback_ok)
            wire.append(entry)
        else:
            raise ImageUnusable(
                f"{name} is neither an http(s) URL nor a data: URI; this version reads no local files",
                _REMEDY,
            )
    return References(tuple(wire), tuple(warnings))
