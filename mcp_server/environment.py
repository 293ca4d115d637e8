"""The settings, read from environment variables and files that they name."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from mcp_server.settings import Settings

IN_FILES = ("NOVITA_API_KEY", "SEEDREAM_HTTP_TOKEN", "SEEDREAM_HTTP_TOKENS", "SEEDREAM_STORE_URL")
"""Variables that hold secrets: each may name a file instead, in a variable with `_FILE` behind its name."""

ASKED_BY_BUNDLE = (
    *("NOVITA_API_KEY", "SEEDREAM_EMULATOR", "SEEDREAM_SAVE_DIR", "SEEDREAM_MODEL"),
    "SEEDREAM_IMAGES_PER_DAY",
)
"""Variables that the bundle's manifest fills with what the person answers; each may be left out."""

_LARGEST_FILE = 1024**2
_LEFT_OUT = re.compile(r"\$\{user_config\.\w+\}")


class SettingsError(Exception):
    """A setting that can't be used; `str()` of it is one line that names the variable."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` holds; a variable that is blank or was `left_out` counts as unset.

    Raises:
        SettingsError: with one line for each variable at fault; never with its value.
    """
    names = [field.alias for field in Settings.model_fields.values() if field.alias]
    values = {name: environ[name].strip() for name in names if environ.get(name, "").strip()}
    for name in left_out(environ):
        values.pop(name)
    values |= _read_files(environ, values)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{one['loc'][0] if one['loc'] else ''} {_reason(one['msg'])}".lstrip()
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None


def check_extras(settings: Settings) -> None:
    """Whether what the settings ask for is installed.

    Raises:
        SettingsError: says what to install.
    """
    if settings.shared and not find_spec("redis"):
        raise SettingsError(
            "SEEDREAM_STORE_URL names a Redis, and the library for it is not installed: install "
            "'mcp-server-seedream[redis]'"
        )


def left_out(environ: Mapping[str, str]) -> list[str]:
    """Variables that hold a placeholder of the bundle's manifest.

    Hosts hand it over as it stands for what the person left out. Any other placeholder is a mistake.
    """
    return [name for name in ASKED_BY_BUNDLE if _LEFT_OUT.fullmatch(environ.get(name, "").strip())]


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Variables with our prefix that no setting reads, and what may be meant.

    They are typos, or settings of another version.
    """
    known = {field.alias for field in Settings.model_fields.values()} | {f"{name}_FILE" for name in IN_FILES}
    strange = sorted(
        name for name in environ if name.startswith(("SEEDREAM_", "NOVITA_")) and name not in known
    )
    if not strange:
        return {}
    from difflib import get_close_matches

    names = [name for name in known if name]
    return {name: next(iter(get_close_matches(name, names, 1, 0.8)), None) for name in strange}


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _is_on(value: str) -> bool:
    return value.lower() in ("1", "true", "yes", "on", "t", "y")


def _read_files(environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """The secrets that stand in files, as orchestrators hand them in.

    Raises:
        SettingsError: a file can't be read or is empty, or its variable is set, too.
    """
    found = {}
    for name in IN_FILES:
        path = environ.get(f"{name}_FILE", "").strip()
        if not path or (name == "NOVITA_API_KEY" and _is_on(values.get("SEEDREAM_EMULATOR", ""))):
            continue
        if name in values:
            raise SettingsError(f"{name}_FILE is set, and so is {name}: only one of them can hold")
        try:
            with Path(path).open(encoding="utf-8-sig") as file:
                text = file.read(_LARGEST_FILE + 1).strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise SettingsError(
                f"{name}_FILE names a file that can't be read: {reason or 'it is no text'}"
            ) from None
        if not text or len(text) > _LARGEST_FILE:
            raise SettingsError(f"{name}_FILE names a file that is {'too large' if text else 'empty'}")
        found[name] = text
    return found
