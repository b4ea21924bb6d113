"""Commands that show or change rows, by somebody without a grant: what is not theirs is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import policies
from agents.models import Agent, ModelRoute, Policy, User
from runs import dispatch
from sandboxes.models import Sandbox
from tests import shell
from tests.rules import rules

pytestmark = pytest.mark.django_db


@pytest.fixture
def names(ada: User, alice: User, mallory: User, atlas: Agent, route: ModelRoute, tmp_path: Path) -> dict[str, str]:
    policy = policies.create(ada, "Hers", rules("own.example"))
    atlas.policies.add(policy)
    Sandbox.objects.create(agent=atlas, number=1)
    (tmp_path / "draft").write_text("mine.example")
    run = dispatch.start(alice, "Hello", agent=atlas).run
    return {"AGENT": "atlas", "POLICY": "Hers", "RUN": run.pk, "FILE": str(tmp_path / "draft")}


@pytest.mark.parametrize(
    "words",
    [
        "egress list AGENT", "egress tail AGENT", "egress try AGENT own.example", "egress unused POLICY",
        "egress prune POLICY own.example", "egress learn AGENT", "egress learn --stop AGENT",
        "egress propose AGENT", "egress propose --save AGENT", "openshell policy POLICY", "openshell agent AGENT",
        "policy edit --name Mine POLICY", "policy try POLICY own.example", "policy delete POLICY", "what-if --file FILE POLICY",
        "presets edit --name Mine slack", "presets delete slack", "runs show RUN", "runs permissions RUN",
        "runs cancel RUN", "sandbox start AGENT", "sandbox status AGENT", "sandbox keep AGENT", "sandbox stop AGENT",
        "sandbox logs AGENT", "sandbox limits AGENT", "sandbox limits --memory-mb 512 AGENT",
        "sandbox files ls AGENT", "sandbox files get AGENT notes.md", "sandbox shell AGENT",
    ],
)  # fmt: skip
def test_no_command_shows_or_changes_what_is_somebody_elses(names: dict[str, str], words: str) -> None:
    ended = shell.run(*(names.get(word, word) for word in words.split()), "--user", "mallory")

    assert ended.code == 1
    assert "was not found." in ended.said
    assert ended.out == ""
    assert Policy.objects.get().name == "Hers"
