"""What the manifest and the registry's entry say, read from the program and from pyproject.toml."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from mcp_server.environment import ASKED_BY_BUNDLE
from mcp_server.limits import MODELS
from mcp_server.settings import Settings

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
NAME: str = PROJECT["name"]

OWNER: str = PYPROJECT["tool"]["registry"]["owner"]
"""Who publishes the project on GitHub; `OWNER` until that is known."""

TITLE = "Seedream images"

QUESTIONS = {
    "NOVITA_API_KEY": (
        "Novita API key",
        "From novita.ai: Settings, then Key Management. Every picture is paid with it.",
    ),
    "SEEDREAM_EMULATOR": (
        "Try it without a key",
        "Draw free stand-in pictures on this computer; nothing is sent to Novita.",
    ),
    "SEEDREAM_SAVE_DIR": (
        "Save pictures in",
        "A folder that keeps every picture; links expire after about 24 hours. Left out: only links.",
    ),
    "SEEDREAM_MODEL": ("Model", f"One of: {', '.join(MODELS)}."),
    "SEEDREAM_IMAGES_PER_DAY": (
        "Most images per day",
        "More is refused before anything is paid; days are counted in UTC. Left out: no cap.",
    ),
}
"""What a person is asked, by the variable that takes the answer."""

Kind = Literal["secret", "boolean", "folder", "number", "string"]


def questions() -> dict[str, tuple[str, str, Kind, Any]]:
    """For each variable that a person is asked for: its title, description, kind and default."""
    fields = {field.alias: field for field in Settings.model_fields.values()}
    return {
        name: (*QUESTIONS[name], _kind(fields[name].annotation), fields[name].default)
        for name in ASKED_BY_BUNDLE
    }


def key_of(variable: str) -> str:
    """The name of the setting in the program."""
    return next(name for name, field in Settings.model_fields.items() if field.alias == variable)


def author() -> str:
    """Who the licence names."""
    found = re.search(r"Copyright \(c\) \d{4} (.+)", (ROOT / "LICENSE").read_text("utf-8"))
    assert found  # noqa: S101 - a licence names someone
    return found[1]


def pins() -> list[str]:
    """The exact versions that the tests ran with of what a server needs, on every system."""
    text = (ROOT / "deploy" / "requirements.txt").read_text("utf-8")
    return [line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line)]


def _kind(annotation: Any) -> Kind:
    kinds: dict[str, Kind] = {"SecretStr": "secret", "bool": "boolean", "Path": "folder", "int": "number"}
    plain = next(iter(get_args(annotation))) if get_origin(annotation) else annotation
    return kinds.get(plain.__name__, "string")
