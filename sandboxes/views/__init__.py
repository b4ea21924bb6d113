"""Pages about where models answer from."""
