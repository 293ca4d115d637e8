"""The hosts. Each row was checked against what it says, in the month of `CHECKED`."""

from mcp_server.config.apps import APPS
from mcp_server.config.editors import EDITORS
from mcp_server.config.hosts import Host
from mcp_server.config.parts import LITERAL_KEY, LITERAL_TOKEN, local, remote

CHECKED = "November 2026"

GENERIC = Host(
    id="generic",
    title="any other host with `mcpServers`",
    file="generic.json",
    keys=("mcpServers",),
    local=local(LITERAL_KEY),
    http=remote(LITERAL_TOKEN),
    sse=remote(LITERAL_TOKEN),
    places={},
    checked="the shape that most hosts share",
)

HOSTS = (*APPS, *EDITORS, GENERIC)
"""Every host that is known, in the order of client_configs/README.md."""

BY_ID = {host.id: host for host in HOSTS}
