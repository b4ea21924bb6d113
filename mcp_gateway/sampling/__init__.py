"""Models lent to MCP servers: what a server asks (sampling) is answered by Logos, within bounds and on somebody's account."""
