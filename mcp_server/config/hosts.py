"""What a row of the table of hosts is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

KEY = "NOVITA_API_KEY"
TOKEN = "SEEDREAM_HTTP_TOKEN"  # noqa: S105 - the name of a variable
NAME = "seedream"
"""What an entry is called in every host."""


class Mark(Enum):
    """What is filled in where it stands in a shape."""

    COMMAND = auto()
    ARGS = auto()
    LINE = auto()  # command and arguments in one list
    URL = auto()


Shape = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Item:
    """A step into a list: the element that has `name` under `by`."""

    by: str
    name: str


Step = str | Item


@dataclass(frozen=True, slots=True)
class Host:
    """One host. A place may begin with `~`, and `{NAME|x}` is the variable NAME or else x."""

    id: str
    title: str
    file: str  # what the file is called in client_configs/; its suffix is the format
    keys: tuple[str, ...]  # where its servers stand in the file
    local: Shape
    places: Mapping[str, tuple[str, ...]]  # by sys.platform; of several the first that is there
    checked: str  # against what
    key: str = "written into the file"  # how the API key gets in, for people
    token: str = "written into the file"  # how the bearer token gets in  # noqa: S105 - says how, holds none
    shows: str = "not known"  # of a result, as far as there is evidence
    http: Shape | None = None  # Streamable HTTP
    sse: Shape | None = None
    project: str = ""  # the file in a project
    note: str = ""
    older_keys: tuple[str, ...] = ()  # taken instead where a file has them and not `keys`
    named: bool = False  # the servers are a list, each with a name
    whole: Shape = field(default_factory=dict)  # what a new file needs besides
    inputs: Mapping[str, str] = field(default_factory=dict)  # what the host asks for: id -> question
    also: tuple[str, ...] = ()  # other files it reads, looked into but never written

    @property
    def format(self) -> str:
        """`json`, `toml` or `yaml`."""
        return self.file.rpartition(".")[2]

    def shape(self, transport: str) -> Shape | None:
        """The shape for `local`, `http` or `sse`; None where the host can't."""
        return {"local": self.local, "http": self.http, "sse": self.sse}[transport]
