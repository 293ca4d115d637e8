"""`server.json`, the project's entry in the MCP registry, written anew: `python -m bundle.registry`."""

import json
from typing import Any

from bundle.facts import NAME, OWNER, PROJECT, ROOT, TITLE, questions
from mcp_server import __version__
from mcp_server.limits import MODELS

FILE = ROOT / "server.json"
SERVER = f"io.github.{OWNER}/{NAME}"
"""The name in the registry. The published README must hold `mcp-name: ` and this: both have one owner."""

_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
_FORMATS = {"boolean": "boolean", "number": "number", "folder": "filepath"}


def entry() -> dict[str, Any]:
    """What the registry is told."""
    return {
        "$schema": _SCHEMA,
        "name": SERVER,
        "title": TITLE,
        "description": PROJECT["description"],
        "version": __version__,
        "repository": {"url": f"https://github.com/{OWNER}/{NAME}", "source": "github"},
        "packages": [
            {
                "registryType": "pypi",
                "identifier": NAME,
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": list(map(_variable, questions())),
            }
        ],
    }


def text() -> str:
    """The file."""
    return json.dumps(entry(), indent=2, ensure_ascii=False) + "\n"


def _variable(name: str) -> dict[str, Any]:
    title, description, kind, default = questions()[name]
    told: dict[str, Any] = {"name": name, "description": f"{title}. {description}"}
    if kind == "secret":
        return told | {"isRequired": True, "isSecret": True}
    if kind in _FORMATS:
        told["format"] = _FORMATS[kind]
    if name == "SEEDREAM_MODEL":
        told["choices"] = list(MODELS)
    if default is not None:
        told["default"] = json.dumps(default) if kind == "boolean" else str(default)
    return told


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8", newline="\n")
