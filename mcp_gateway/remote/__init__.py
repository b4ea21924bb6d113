"""MCP servers elsewhere, reached over HTTP: where they may be, how they are spoken to, and by whose account."""
