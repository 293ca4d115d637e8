"""The files of client_configs/, the tables of its README, and the links that install the server.

`make configs` writes them; a test holds the files to them.
"""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from mcp_server.config.hosts import NAME, Host
from mcp_server.config.merge import snippet
from mcp_server.config.places import shown
from mcp_server.config.shapes import PUBLISHED, inputs_of, local_entry, remote_entry
from mcp_server.config.table import BY_ID, CHECKED, HOSTS

FOLDER = Path(__file__).parent.parent / "client_configs"
ADDRESS = "https://images.example.com"
ENDS = {"http": "/mcp", "sse": "/sse"}
_SYSTEMS = {"darwin": "macOS", "linux": "Linux", "win32": "Windows"}


def files() -> dict[str, str]:
    """Each file under client_configs/ that comes from the table."""
    made = {}
    for host in HOSTS:
        made[host.file] = snippet(host, local_entry(host, *PUBLISHED))
        for transport, end in ENDS.items():
            if host.shape(transport):
                entry = remote_entry(host, ADDRESS + end)
                assert entry
                made[f"remote/{remote_name(host, transport)}"] = snippet(host, entry)
    return made


def remote_name(host: Host, transport: str) -> str:
    """`cursor.mcp.json` over SSE is `cursor.sse.mcp.json`."""
    stem, _, rest = host.file.partition(".")
    return f"{stem}.{transport}.{rest}"


def local_table() -> str:
    """A row for each host: where its file is, and how the key gets in."""
    lines = ["| file | host | goes to | in a project | the key |", "|---|---|---|---|---|"]
    for host in HOSTS:
        project = f"`{host.project}`" if host.project else "-"
        lines.append(f"| `{host.file}` | {host.title} | {_places(host)} | {project} | {host.key} |")
    return "\n".join(lines)


def remote_table() -> str:
    """A row for each host that takes a server on the network."""
    lines = ["| file in `remote/` | host | the token |", "|---|---|---|"]
    for host in HOSTS:
        names = [f"`{remote_name(host, transport)}`" for transport in ENDS if host.shape(transport)]
        if names:
            lines.append(f"| {', '.join(names)} | {host.title} | {host.token} |")
    return "\n".join(lines)


def evidence_table() -> str:
    """A row for each host: what is known of it, and from where."""
    lines = [f"| host | shows of a result | checked in {CHECKED} against | |", "|---|---|---|---|"]
    lines += [f"| {host.title} | {host.shows} | {host.checked} | {host.note} |" for host in HOSTS]
    return "\n".join(lines)


def links() -> str:
    """Links that install the published package, as https, which every page lets through."""
    return f"[Install in Cursor]({cursor_link()}) · [Install in VS Code]({vscode_link()})"


def cursor_link() -> str:
    """The page that opens `cursor://anysphere.cursor-deeplink/mcp/install` with the same query."""
    config = json.dumps(local_entry(BY_ID["cursor"], *PUBLISHED), separators=(",", ":"))
    query = urlencode({"name": NAME, "config": base64.b64encode(config.encode()).decode()})
    return f"https://cursor.com/en/install-mcp?{query}"


def vscode_link() -> str:
    """The page that opens `vscode:mcp/install` with the same query."""
    entry = local_entry(BY_ID["vscode"], *PUBLISHED)
    query = {"inputs": inputs_of(BY_ID["vscode"], entry), "config": entry}
    texts = {key: json.dumps(value, separators=(",", ":")) for key, value in query.items()}
    return f"https://insiders.vscode.dev/redirect/mcp/install?name={NAME}&{urlencode(texts, quote_via=quote)}"


def written(text: str) -> str:
    """`text`, the README of client_configs/, with the tables as the program has them."""
    parts: Mapping[str, str] = {
        "local": local_table(),
        "remote": remote_table(),
        "evidence": evidence_table(),
    }
    for name, fresh in parts.items():
        pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)"
        escaped = fresh.replace("\\", r"\\")
        text, count = re.subn(pattern, rf"\1\n{escaped}\n\n\2", text, flags=re.DOTALL)
        assert count == 1, name
    return text


def _places(host: Host) -> str:
    systems: dict[str, list[str]] = {}
    for system, places in host.places.items():
        plain = system if "APPDATA" in str(places) else "linux"  # the same, but for the slashes
        systems.setdefault(" or ".join(f"`{shown(one, plain)}`" for one in places), []).append(
            _SYSTEMS[system]
        )
    if [*systems.values()] == [[*_SYSTEMS.values()]]:
        return next(iter(systems))
    return (
        ", ".join(f"{' and '.join(names)} {places}" for places, names in systems.items())
        or "see its documents"
    )


if __name__ == "__main__":
    for path, content in files().items():
        (FOLDER / path).write_text(content, "utf-8")
    readme = FOLDER / "README.md"
    readme.write_text(written(readme.read_text("utf-8")), "utf-8")
