"""What the bundle's manifest starts, from the bundle's own folder."""

import sys

from mcp_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
