"""/api/gate: what the command gate would say about a command; nothing is run and nothing is asked."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents.api.shapes import Text
from agents.gate import judge

router = Router(tags=["Approvals"])

LONGEST = 65_536


class GateCommand(Schema):
    """A command to try."""

    command: Text = Field(max_length=LONGEST, description="As a shell would be given it; more than one line is fine.")

    model_config = {"json_schema_extra": {"example": {"command": "sudo rm -rf build"}}}


class GateFinding(Schema):
    """One reason to look twice."""

    rule: str = Field(description="A rule of docs/command-gate.md.")
    severity: Literal["low", "medium", "high", "critical"]
    sentence: str
    excerpt: str = Field(description="The part it is about, out of what it was wrapped in.")


class GateJudgement(Schema):
    """The verdict. ``block`` is what nobody may approve."""

    verdict: Literal["allow", "ask", "block"]
    severity: Literal["", "low", "medium", "high", "critical"]
    findings: list[GateFinding]
    normalised: str = Field(
        description="The one form of the command, whatever its quotes and the order of its switches."
    )
    key: str = Field(description="What approvals and rules of such a command are bound to.")

    model_config = {
        "json_schema_extra": {
            "example": {
                "verdict": "ask",
                "severity": "high",
                "findings": [
                    {
                        "rule": "delete-recursive",
                        "severity": "high",
                        "sentence": "Deletes a directory and everything below it.",
                        "excerpt": "sudo rm -rf build",
                    },
                    {
                        "rule": "as-root",
                        "severity": "low",
                        "sentence": "Runs as another user, usually root.",
                        "excerpt": "sudo rm -rf build",
                    },
                ],
                "normalised": "sudo rm -rf build",
                "key": "5f0c0ad1c9bb3e7a4f6e2d8b1a9c3e5d7f9b1c3e5a7d9f1b3c5e7a9d1f3b5c7e",
            }
        }
    }


@router.post(
    "/check", response=GateJudgement, operation_id="check_command", summary="Judge a command without running it"
)
def check(request: HttpRequest, body: GateCommand) -> Any:
    """What the gate would say if an agent wanted to run it."""
    return judge(body.command)
