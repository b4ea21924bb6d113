"""The gateway for clients that only know standard input and output: what ``mcp-bridge`` is made of."""
