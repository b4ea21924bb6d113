"""How agents reach tools: MCP servers that run once, and one governed door to them."""
