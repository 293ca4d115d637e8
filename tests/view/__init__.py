"""What the tests of the view need: a host of MCP Apps in a real Chromium."""
