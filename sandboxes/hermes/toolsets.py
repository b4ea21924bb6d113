"""The toolsets of the runtime: its own names, so the catalogue in ``agents.toolsets`` is used as it is."""

from agents.toolsets import TOOLSETS, check_toolsets

__all__ = ["TOOLSETS", "check_toolsets"]
