"""`python -m mcp_server` is the console script `mcp-server-seedream`."""

import sys

from mcp_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
