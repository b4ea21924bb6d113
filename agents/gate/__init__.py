"""The command gate: judges one shell command before it runs; see docs/command-gate.md."""

from __future__ import annotations

from agents.gate.judging import Finding, Judgement, judge

__all__ = ["Finding", "Judgement", "judge"]
