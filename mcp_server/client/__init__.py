"""The upstream client: one POST to the API, its retry policy, its errors in our terms."""

from mcp_server.client.client import SeedreamClient
from mcp_server.client.replies import Reply

__all__ = ["Reply", "SeedreamClient"]
