"""The upstream client: one POST to the API, its retry policy, its errors in our terms."""

from mcp_server.client.client import SeedreamClient

__all__ = ["SeedreamClient"]
