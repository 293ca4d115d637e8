"""The pictures made: fetched once, then saved, previewed and read as resources, where asked for.

All of it is an extra: the links are what was paid for, and nothing here may cost them.
"""

from mcp_server.pictures.collect import Collected, Plan, collect

__all__ = ["Collected", "Plan", "collect"]
