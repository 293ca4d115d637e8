"""The settings as a doctor may show them: values without secrets, and where each came from."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_server.doctor.report import SettingShown
from mcp_server.environment import IN_FILES
from mcp_server.network_settings import NetworkSettings
from mcp_server.settings import Settings

_HIDDEN = "set, not shown"
_LONGEST = 120


def shown_settings(environ: Mapping[str, str], settings: Settings) -> list[SettingShown]:
    """Every setting that a server on this machine has; those of the network only where they are set."""
    shown = []
    for field, info in Settings.model_fields.items():
        name = info.alias or field
        source = _source(name, environ)
        if source == "default" and field in NetworkSettings.model_fields:
            continue
        shown.append(SettingShown(name, _shown(name, getattr(settings, field)), source))
    return shown


def _source(name: str, environ: Mapping[str, str]) -> str:
    if environ.get(name, "").strip():
        return "environment"
    if name in IN_FILES and environ.get(f"{name}_FILE", "").strip():
        return f"the file in {name}_FILE"
    return "default"


def _shown(name: str, value: Any) -> str | None:
    if value is None or value == ():
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if name == "SEEDREAM_STORE_URL":
        return without_secrets(value)
    if isinstance(value, dict):  # of tokens
        return f"{_HIDDEN}; callers: {', '.join(value)}"
    if isinstance(value, SecretStr):
        return _HIDDEN
    text = ", ".join(map(str, value)) if isinstance(value, (tuple, list, frozenset)) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def without_secrets(url: str) -> str:
    """A URL without the name and password before its host, and without what stands behind its path."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        return _HIDDEN
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
