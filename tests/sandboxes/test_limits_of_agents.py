"""Saying what an agent's sandbox may use: on its page, over the API, from a shell, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from agents import composition, permissions, sandbox_limits
from agents.editing import editing
from agents.errors import Invalid, NotFound
from agents.models import Agent, User
from sandboxes import identity, lifecycle, records
from sandboxes.models import Sandbox
from tests import shell
from tests.api_client import Program
from tests.conftest import person

Browser = Callable[..., Client]


def address(agent: Agent) -> str:
    return f"/agents/{agent.pk}/sandbox/limits/"


def form(agent: Agent, **typed: str) -> dict[str, Any]:
    return {"version": agent.version, **typed}


def test_what_nobody_set_is_the_sites(atlas: Agent, settings: Any) -> None:
    settings.LOGOS_SANDBOX_MEMORY_MB = 3000
    atlas.limits = {"processes": 100}

    assert sandbox_limits.of(atlas) == {
        "memory_mb": 3000, "cpu_percent": 150, "processes": 100, "open_files": 4096, "disk_mb": 10_240,
        "file_mb": 1024, "tmp_mb": 512,
    }  # fmt: skip


@pytest.mark.parametrize("value", [0, -1, 255, 1 << 40, True, "512", 1.5, [], {}])
def test_a_number_nobody_could_live_with_is_refused_by_its_name(alice: User, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        sandbox_limits.check(alice, {"memory_mb": value}, {})

    assert refused.value.field == "memory_mb"
    assert "between 256 and 1,048,576" in refused.value.message


def test_an_owner_gives_less_and_only_operators_give_more(alice: User, ada: User, atlas: Agent) -> None:
    assert sandbox_limits.check(alice, {"memory_mb": 512}, {}) == {"memory_mb": 512}
    with pytest.raises(Invalid, match="4,096 MiB at most"):
        sandbox_limits.check(alice, {"memory_mb": 8192}, {})
    assert sandbox_limits.check(ada, {"memory_mb": 8192}, {}) == {"memory_mb": 8192}
    # What an admin gave may stay when the owner changes something else.
    assert sandbox_limits.check(alice, {"memory_mb": 8192, "processes": 99}, {"memory_mb": 8192}) == {
        "memory_mb": 8192,
        "processes": 99,
    }


def test_the_sites_own_number_is_not_kept(alice: User) -> None:
    assert sandbox_limits.check(alice, {"memory_mb": 4096, "processes": None}, {"memory_mb": 512}) == {}


def test_who_may_only_edit_may_not_say_it(atlas: Agent) -> None:
    bertha = person("bertha")
    permissions.grant(bertha, "edit", atlas)

    with (
        pytest.raises(NotFound),
        editing(bertha, "agent.edit", Agent.objects.alive(), atlas.pk, None) as row,
    ):
        composition.change(bertha, row, sandbox={"memory_mb": 512})


def test_the_page_shows_and_saves_them(browser: Browser, alice: User, atlas: Agent) -> None:
    client = browser(alice)

    page = client.get(address(atlas)).content.decode()
    saved = client.post(address(atlas), form(atlas, memory_mb="2,048", processes=" 100 ", disk_mb=""))

    assert "The site gives 4096" in page
    assert saved.status_code == 302
    atlas.refresh_from_db()
    assert atlas.limits == {"memory_mb": 2048, "processes": 100}
    assert 'value="2048"' in client.get(address(atlas)).content.decode()
    detail = client.get(f"/agents/{atlas.pk}/").content.decode()
    assert "2048 MiB" in detail
    assert address(atlas) in detail


@pytest.mark.parametrize(
    ("typed", "said"),
    [("a lot", "must be a whole number"), ("-5", "must be a whole number"), ("9" * 14, "must be a whole number"),
     ("\u0664\u0665", "must be a whole number"), ("8192", "4,096 MiB at most"), ("3", "between 256 and")],
)  # fmt: skip
def test_a_wrong_number_is_said_beside_it_and_nothing_typed_is_lost(
    browser: Browser, alice: User, atlas: Agent, typed: str, said: str
) -> None:
    answer = browser(alice).post(address(atlas), form(atlas, memory_mb=typed, processes="77"))

    assert answer.status_code == 400
    page = answer.content.decode()
    assert said in page
    assert f'value="{typed}"' in page
    assert 'value="77"' in page
    atlas.refresh_from_db()
    assert atlas.limits == {}


def test_who_saves_second_sees_the_first_and_keeps_the_draft(browser: Browser, alice: User, atlas: Agent) -> None:
    client, before = browser(alice), form(atlas, memory_mb="512", processes="")
    client.post(address(atlas), form(atlas, processes="99"))

    answer = client.post(address(atlas), before)

    assert answer.status_code == 409
    page = answer.content.decode()
    assert 'value="512"' in page
    assert 'value="99"' in page  # taken over: it had not been touched


@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_others_find_nothing_there(browser: Browser, request: pytest.FixtureRequest, atlas: Agent, who: str) -> None:
    client = browser(request.getfixturevalue(who))

    assert client.get(address(atlas)).status_code == 404
    assert client.post(address(atlas), form(atlas, memory_mb="512")).status_code == 404
    atlas.refresh_from_db()
    assert atlas.limits == {}


def test_the_api_reads_and_changes_them(alice: User, atlas: Agent) -> None:
    program, path = Program(alice), f"sandboxes/{atlas.pk}/limits"

    def patch(limits: dict[str, Any], version: int = 0) -> Any:
        return program("PATCH", path, {"limits": limits, "version": version or program.get(path)["version"]})

    assert program.get(path)["own"] == []
    changed = patch({"memory_mb": 1024}, version=atlas.version)
    assert (changed.status_code, changed.json()["limits"]["memory_mb"]) == (200, 1024)
    # A limit beside "limits" must not look as if it had been set.
    assert program("PATCH", path, {"memory_mb": 512, "version": 1}).status_code == 422
    # Nor may anybody overwrite what they have not read.
    assert program("PATCH", path, {"limits": {"memory_mb": 512}}).status_code == 422
    assert patch({}).status_code == 422
    stale = patch({"tmp_mb": 64}, version=atlas.version)
    assert (stale.status_code, stale.json()["error"]["reason"]) == (409, "stale")
    assert patch({"memory_mb": None}).json()["own"] == []
    assert patch({"colour": 3}).status_code in (400, 422)
    assert patch({"memory_mb": 99_999}).status_code in (400, 422)


def test_the_command_reads_and_changes_them(ada: User, atlas: Agent) -> None:
    shell.run("sandbox", "limits", "atlas", "--memory-mb", "8192", "--processes", "90")
    told = shell.run("sandbox", "limits", "atlas", "--json").json

    assert told["memory_mb"] == {"value": 8192, "is_own": True}
    assert told["disk_mb"]["is_own"] is False
    shell.run("sandbox", "limits", "atlas", "--memory-mb", "site")
    atlas.refresh_from_db()
    assert atlas.limits == {"processes": 90}
    assert shell.run("sandbox", "limits", "atlas", "--tmp-mb", "much").code == 1


def test_a_sandbox_is_started_with_them_and_anew_when_they_change(atlas: Agent) -> None:
    composition.change(atlas.owner, atlas, sandbox={"memory_mb": 512})  # type: ignore[arg-type]
    wanted = records.wanted(atlas.pk)

    assert wanted.limits["memory_mb"] == 512
    runtime: Any = type("Runtime", (), {"mounts": ()})()
    config: Any = lifecycle.HermesConfig("m", (), None)
    spec = lifecycle._spec(wanted, runtime, config)
    assert (spec.limits.memory_mb, spec.limits.disk_mb) == (512, 10_240)
    other = lifecycle._spec(replace(wanted, limits={**wanted.limits, "memory_mb": 600}), runtime, config)
    assert identity.digest(other) != identity.digest(spec)


def test_the_walls_are_told_in_sentences(alice: User, atlas: Agent) -> None:
    Sandbox.objects.create(agent=atlas, number=1, layers=["userns", "mnt", "pid", "net", "ipc", "uts", "seccomp",
                                                          "landlock:7", "memory:cgroup1", "cpu:nice", "disk:guard"])  # fmt: skip

    walls = {each["name"]: each for each in Program(alice).get(f"sandboxes/{atlas.pk}")["walls"]}

    assert walls["Namespaces"]["is_up"]
    assert "ABI 7" in walls["Landlock"]["sentence"]
    assert not walls["Own user"]["is_up"]
    assert "version 1" in walls["Memory"]["sentence"]
    assert not walls["Processor time"]["is_up"]
    assert "Restart it" in walls["Processes"]["sentence"]


def test_the_history_keeps_them(ada: User, atlas: Agent) -> None:
    composition.change(ada, atlas, sandbox={"memory_mb": 512})

    assert [record.limits for record in atlas.history.all()[:2]] == [{"memory_mb": 512}, {}]
