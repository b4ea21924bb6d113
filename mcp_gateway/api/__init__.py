"""The addresses of the JSON API that are about MCP servers."""
