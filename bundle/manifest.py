"""The bundle's manifest and its pyproject.toml."""

import json
import re
from typing import Any

from mcp import Client

from bundle.facts import NAME, OWNER, PROJECT, TITLE, author, key_of, pins, questions
from mcp_server import __version__
from mcp_server.environment import read_settings
from mcp_server.generations import Generations
from mcp_server.server import SeedreamServer

ENTRY = "server.py"
ICON = "icon.png"

_PRIVACY = "https://novita.ai/legal/privacy-policy"
_TYPES = {"secret": "string", "folder": "directory"}


async def manifest() -> dict[str, Any]:
    """The manifest; what it says of tools and prompts is what the server lists."""
    async with Generations(read_settings({"SEEDREAM_STORE_URL": "memory://"})) as generations:
        async with Client(SeedreamServer(generations)) as client:
            tools = (await client.list_tools()).tools
            prompts = (await client.list_prompts()).prompts
    return {
        "manifest_version": "0.4",  # the first with servers of type uv
        "name": NAME,
        "display_name": TITLE,
        "version": _semantic(__version__),
        "description": PROJECT["description"],
        "author": {"name": author()},
        **_links(OWNER),
        "icon": ICON,
        "license": PROJECT["license"],
        "keywords": PROJECT["keywords"],
        "privacy_policies": [_PRIVACY],
        "compatibility": {"platforms": ["darwin", "win32", "linux"]},
        "server": {"type": "uv", "entry_point": ENTRY, "mcp_config": _launch()},
        "user_config": dict(map(_question, questions())),
        "tools": [{"name": tool.name, "description": _sentence(tool.description or "")} for tool in tools],
        "prompts_generated": bool(prompts),  # not in full: hosts refuse one that differs by a letter
    }


def project() -> str:
    """The bundle's pyproject.toml: what the program needs, in the versions that the tests ran with."""
    lines = [
        "[project]",
        f"name = {json.dumps(NAME)}",
        f"version = {json.dumps(__version__)}",
        f"requires-python = {json.dumps(PROJECT['requires-python'])}",
        f"dependencies = {json.dumps(PROJECT['dependencies'], indent=2)}",
        "",
        "[tool.uv]",
        "package = false",
        f"constraint-dependencies = {json.dumps(pins(), indent=2)}",
    ]
    return "\n".join(lines) + "\n"


def _launch() -> dict[str, Any]:
    """How a host starts it. One that has a uv of its own gives it these arguments, whatever the command says.

    `--project` and not `--directory`: a relative path that a model names must not lead into the bundle.
    """
    return {
        "command": "uv",
        "args": ["run", "--project", "${__dirname}", f"${{__dirname}}/{ENTRY}"],
        "env": {name: f"${{user_config.{key_of(name)}}}" for name in questions()},
    }


def _question(variable: str) -> tuple[str, dict[str, Any]]:
    title, description, kind, default = questions()[variable]
    asked = {"type": _TYPES.get(kind, kind), "title": title, "description": description, "required": False}
    if kind == "secret":
        asked["sensitive"] = True
    elif kind == "number":
        asked["min"] = 1
    if default is not None:
        asked["default"] = default
    return key_of(variable), asked


def _links(owner: str) -> dict[str, Any]:
    if owner == "OWNER":  # not known yet: no link is better than one that leads nowhere
        return {}
    url = f"https://github.com/{owner}/{NAME}"
    return {
        "repository": {"type": "git", "url": f"{url}.git"},
        "homepage": url,
        "documentation": f"{url}#readme",
        "support": f"{url}/issues",
    }


def _semantic(version: str) -> str:
    """The version; one that is not semantic, such as 1.0rc1, ends Claude Desktop at each of its starts."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version} is no version for a bundle: three numbers are")
    return version


def _sentence(text: str) -> str:
    """The first one."""
    return text.partition(". ")[0].rstrip(".") + "."
