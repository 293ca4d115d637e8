"""Generations: from a checked request to the pictures that the API made of it.

service       `Generations`: what a process has once
call          one call's way: a claim, or a cap, a slot and a request (budget, identity, words)
requests      the requests under way, which outlive their calls
album         the pictures of the generations on record
ledger        what a ledger is; a `generation` is a row of it
memory, sqlite, fallback      the ledgers; `stores` knows which one SEEDREAM_STORE_URL names
"""

from mcp_server.generations.generation import Generation, Made
from mcp_server.generations.service import Generations

__all__ = ["Generation", "Generations", "Made"]
