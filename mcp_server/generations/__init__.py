"""Generations: from a checked request to the pictures that the API made of it.

generation    one request and what became of it; a row of the ledger
ledger        what a ledger is: rows, claims, leases, budgets
memory, sqlite, fallback, stores    the ledgers, and which one SEEDREAM_STORE_URL names
service       `Generations`: what a process has once
call          one call's way: budget, claim or request, waiting, abandonment
"""

from mcp_server.generations.generation import Generation, Made
from mcp_server.generations.service import Generations

__all__ = ["Generation", "Generations", "Made"]
