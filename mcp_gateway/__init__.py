"""How agents reach tools: the MCP gateway (arrives with its own issue)."""
