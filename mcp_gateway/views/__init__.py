"""Pages about MCP."""
