"""MCP servers and what holds for them as one YAML file: read, compared, applied, and written from the rows."""
