"""Attempts to get out of a sandbox: run inside one, judged there and from the host. See ``docs/operating.md``."""
