"""Where MCP servers connected to from their sandboxes: decided, recorded, read, and ended by a stop."""
