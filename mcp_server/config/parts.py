"""What the rows of the table share."""

from collections.abc import Mapping

from mcp_server.config.hosts import KEY, TOKEN, Mark, Shape

_SYSTEMS = ("darwin", "linux", "win32")
SECONDS = 900
"""The limit of time for a call, where a host has a setting for one: fifteen images may take 12 minutes."""

LITERAL_KEY = "your-novita-api-key"
LITERAL_TOKEN = "your-token"  # noqa: S105 - to be replaced
WRITTEN = "written into the file"
KEY_FROM_VARIABLE = f"from the environment variable `{KEY}`"
TOKEN_FROM_VARIABLE = f"from the environment variable `{TOKEN}`"
ASKED = "asked for once and kept by the host"


def local(key: str, *, kind: str = "", **more: object) -> Shape:
    """The shape that most hosts have for a command, with `key` where the API key gets in."""
    start: Shape = {"type": kind} if kind else {}
    return {**start, "command": Mark.COMMAND, "args": Mark.ARGS, "env": {KEY: key}, **more}


def remote(token: str, url: str = "url", **more: object) -> Shape:
    """The shape that most hosts have for an address, with `token` where the bearer token gets in."""
    return {**more, url: Mark.URL, "headers": {"Authorization": f"Bearer {token}"}}


def everywhere(*places: str) -> Mapping[str, tuple[str, ...]]:
    """The same on each system."""
    return dict.fromkeys(_SYSTEMS, places)


def in_settings(mac: str, linux: str, windows: str) -> Mapping[str, tuple[str, ...]]:
    """In the folder for settings that each system has; macOS has two, so its is given in full."""
    return {
        "darwin": (mac,),
        "linux": ("{XDG_CONFIG_HOME|~/.config}/" + linux,),
        "win32": ("{APPDATA|~/AppData/Roaming}/" + windows,),
    }


def beside_code(file: str) -> Mapping[str, tuple[str, ...]]:
    """In the folder of VS Code's user."""
    path = f"Code/User/{file}"
    return in_settings(f"~/Library/Application Support/{path}", path, path)
