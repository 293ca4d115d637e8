"""What hosts install without a terminal: an `.mcpb` bundle, and the project's entry in the MCP registry.

`python -m bundle` writes `dist/mcp-server-seedream-VERSION.mcpb` with the official packer,
`python -m bundle.registry` the file `server.json`. Both say what the program and pyproject.toml say.

The bundle is of the manifest's type `uv`: it holds the package's code and the pins that the tests ran with;
the host's own uv fetches Python and the dependencies on the person's machine. The other types don't fit: one
needs the Python and uv that the person may have, or wheels in it for every system and processor.
"""
