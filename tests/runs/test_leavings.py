"""What a run left: noted when it ends, compared by whoever may see the run and look into the workspace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client, override_settings

from agents import permissions
from agents.models import Agent, ModelRoute, User
from runs import dispatch, leavings
from runs.models import Run
from sandboxes import lifecycle, manifests
from sandboxes.models import Sandbox
from tests.api_client import Program, end

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(atlas: Agent, route: ModelRoute, tmp_path: Path) -> Iterator[Path]:
    box = Sandbox.objects.create(agent=atlas, number=1)
    with override_settings(LOGOS_HOME=tmp_path):
        root = lifecycle.root_of(box.pk)
        (root / "workspace").mkdir(parents=True)
        (root / "engine").mkdir()
        yield root


def ran(user: User, agent: Agent, root: Path, text: str) -> Run:
    run = end(dispatch.start(user, "Write.", agent=agent).run, "Done.")
    (root / "workspace/report.md").write_text(text)
    manifests.take(root, run.pk)
    return run


def test_two_runs_are_compared_with_their_texts(
    alice: User, atlas: Agent, root: Path, browser: Callable[..., Client]
) -> None:
    first, second = ran(alice, atlas, root, "one <b>line</b>\n"), ran(alice, atlas, root, "one <b>word</b>\n")
    client = browser(alice)

    page = client.get(f"/runs/{second.pk}/files/").content.decode()
    same = client.get(f"/runs/{second.pk}/files/", {"with": second.pk}).content.decode()
    found = Program(alice).get(f"runs/{second.pk}/files?with={first.pk}")

    assert "report.md" in page
    assert "<del>line</del><ins>word</ins>" in page.replace("\n", "")
    assert "Nothing differs" in same
    assert (found["before"], found["items"][0]["kind"]) == (first.pk, "changed")


def test_what_is_not_known_is_said(alice: User, atlas: Agent, root: Path, browser: Callable[..., Client]) -> None:
    run = end(dispatch.start(alice, "Write.", agent=atlas).run, "Done.")

    assert "is not known" in browser(alice).get(f"/runs/{run.pk}/files/").content.decode()


def test_it_takes_the_run_and_the_workspace(
    alice: User, bob: User, mallory: User, atlas: Agent, root: Path, browser: Callable[..., Client]
) -> None:
    hers, his = ran(alice, atlas, root, "a"), ran(bob, atlas, root, "b")

    page = browser(bob).get(f"/runs/{his.pk}/files/").content.decode()
    assert "which is somebody else" in page
    assert hers.pk not in page
    assert browser(bob).get(f"/runs/{hers.pk}/files/").status_code == 404
    assert browser(bob).get(f"/runs/{his.pk}/files/", {"with": hers.pk}).status_code == 404
    permissions.revoke(bob, "chat", atlas)
    assert browser(bob).get(f"/runs/{his.pk}/files/").status_code == 404
    assert browser(mallory).get(f"/runs/{his.pk}/files/").status_code == 404


def test_it_is_noted_in_the_background(alice: User, atlas: Agent, root: Path) -> None:
    leavings.note_later(Sandbox.objects.get().pk, "run_1")
    leavings.note_later("box_that_is_gone", "run_2")
    for thread in threading.enumerate():
        if thread.name == "leavings":
            thread.join(120)

    assert manifests.runs(root) == ["run_1"]
