"""The verbs of ``./logos mcp``, a module for each noun."""
