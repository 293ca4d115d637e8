"""What this process has made, newest last. It ends with the process."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from mcp_server.pictures import Picture

LINK_LIFE = timedelta(hours=24)
"""About how long a link works: the model's origin says so, Novita does not document it."""

MOST_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Generation:
    """One request to the API that succeeded."""

    id: str
    model: str
    prompt: str
    requested: Mapping[str, Any]  # as sent, without image data
    urls: tuple[str, ...]
    unusable: int  # items of the reply that were no link
    created: datetime  # UTC, when the reply was there
    images_today: int  # by this process, since midnight UTC, this generation's included
    emulated: bool
    pictures: "dict[int, Picture]" = field(default_factory=dict)  # those fetched, by number from 1

    def expires(self, number: int) -> datetime:
        """About when the link to picture `number` (from 1) ends."""
        return link_expiry(self.urls[number - 1], self.created)


class History:
    """Generations by id; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._generations: OrderedDict[str, Generation] = OrderedDict()

    def add(self, generation: Generation) -> None:
        """Remember a generation."""
        self._generations[generation.id] = generation
        while len(self._generations) > MOST_REMEMBERED:
            self._generations.popitem(last=False)

    def find(self, generation_id: str) -> Generation | None:
        """The generation with this id."""
        return self._generations.get(generation_id)

    def recent(self, most: int) -> list[Generation]:
        """The newest generations, newest first."""
        return list(reversed(self._generations.values()))[:most]

    def saved_instead_of(self, url: str) -> Path | None:
        """The saved file of a picture whose link has expired; None for any other URL."""
        for generation in reversed(self._generations.values()):
            if url in generation.urls:
                number = generation.urls.index(url) + 1
                picture = generation.pictures.get(number)
                expired = generation.expires(number) <= datetime.now(UTC)
                return picture.saved_path if picture and expired else None
        return None


def link_expiry(url: str, created: datetime) -> datetime:
    """When a link ends: as its own query says, as object stores sign them, or else by `LINK_LIFE`."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    try:
        for name in ("expires", "x-expires"):
            if name in query:
                return datetime.fromtimestamp(int(query[name]), UTC)
        for vendor in ("x-tos", "x-amz"):
            if f"{vendor}-expires" in query:
                signed = datetime.strptime(query[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed + timedelta(seconds=int(query[f"{vendor}-expires"]))
    except (ValueError, KeyError, OverflowError, OSError):
        pass  # nothing that could be read
    return created + LINK_LIFE
