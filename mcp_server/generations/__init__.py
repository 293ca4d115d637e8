"""Generations: from a checked request to the pictures that the API made of it."""

from mcp_server.generations.history import Generation
from mcp_server.generations.service import Generations

__all__ = ["Generation", "Generations"]
