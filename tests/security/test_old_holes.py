"""The nineteen security holes of the system Logos descends from, each tried here under its number.

Those that concern what Logos does not have yet (channels, MCP, machines) assert the nearest property that is true
today, in a way that a later door without a lock would break.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.test import Client
from django.utils import timezone

from agents import hosts, permissions, routes, secrets
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, ModelRoute, Provider, Role, SecurityEvent, Soul, User
from logos_site.env import REGISTRY
from logos_site.up import first_link
from mcp_gateway.models import McpServer
from runs import approvals
from runs.models import Approval, ApprovalState, Run
from sandboxes import lifecycle
from sandboxes.hermes.configuration import HermesConfig, fixed_files, live_files
from sandboxes.hermes.runtime import Runtime
from sandboxes.hermes.spec import sandbox_spec
from tests import tables
from tests.api_client import Program
from tests.conftest import PASSWORD, person
from tests.console import Console
from tests.doors import SIGN_IN, addresses, body, filled
from tests.doors import rows as rows

Rows = dict[Any, Any]
KEY = "sk-a-key-nobody-may-read-1234567890"


def browser_of(user: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user, backend=SIGN_IN)
    return client


def test_hole_01_the_first_run_cannot_be_made_twice_to_take_the_admin_over(ada: User) -> None:
    before = tables.everything()
    token = first_link.issue()
    client = Client()
    whole = {
        "username": "ada", "email": "evil@evil.example", "password1": "mine from now on", "password2": "mine from now on",
        "kind": "rehearsal", "soul": "x", "name": "x", "message": "x",
    }  # fmt: skip

    try:
        for path in (f"/start/{token}/", "/start/guess/", "/api/setup/complete", "/setup/"):
            for answer in (client.get(path), client.post(path, whole)):
                assert answer.status_code in (404, 403), path
    finally:
        first_link.close()

    assert tables.everything() == before
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_hole_02_nobody_exists_before_somebody_made_an_account() -> None:
    """The tables come from the migrations alone."""
    assert not User.objects.exists()
    for name in ("admin", "root", "logos"):
        assert not Client().login(username=name, password=name)


def test_hole_03_nothing_is_internal_by_its_name_and_nothing_listens_to_the_network_unasked(rows: Rows) -> None:
    stranger = Client(raise_request_exception=False)
    for address in sorted(set(addresses())):
        if address.startswith("/api/") and address not in ("/api/docs", "/api/openapi.json"):
            answer = stranger.get(filled(address, rows))
            assert answer.status_code in (401, 404, 405), address
    assert REGISTRY["LOGOS_HOST"].default == "127.0.0.1"
    assert not re.search(r"internal", " ".join(addresses()))


def test_hole_04_no_stranger_makes_logos_call_anybody(rows: Rows, monkeypatch: Any) -> None:
    called: list[Any] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, where: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            called.append(where)
            raise OSError("nobody is called in this test")
        return connect(self, where)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **rest: called.append(args) or [])
    stranger = Client(raise_request_exception=False)
    evil = "http://169.254.169.254/latest/"
    bait = {**body(rows), "url": evil, "base_url": evil, "host": "169.254.169.254", "kind": "openai-compatible"}

    for address in sorted(set(addresses())):
        path = filled(address, rows)
        if path in ("/readyz", "/healthz") or path.startswith("/admin/"):
            continue  # asks this machine, and says so
        stranger.get(path, bait)
        stranger.post(path, json.dumps(bait), content_type="application/json")
        stranger.post(path, bait)

    assert called == []


def test_hole_05_nobody_grants_themselves_anything_and_no_session_id_of_theirs_counts(rows: Rows) -> None:
    before = tables.everything()
    for who in (person("vera", Role.VIEWER), person("mallory-5"), person("otto-5", Role.OPERATOR)):
        program = Program(who)
        for path in ("agents", "souls", "routes", "policies", "mcp-servers"):
            row = next(
                row
                for model, row in rows.items()
                if (model._meta.model_name or "") in (path[:-1].replace("-", ""), "modelroute")
            )
            asked = {"person": who.username, "level": "manage"}
            for address in (f"{path}/{row.pk}/grants", f"{path}/{rows[Agent].pk}/grants"):
                assert program("PUT", address, asked).status_code in (403, 404, 405)
                assert program("POST", address, asked).status_code in (403, 404, 405)
        server = f"mcp-servers/{rows[McpServer].pk}"
        for address in (f"{server}/grants", f"{server}/owner", f"agents/{rows[Agent].pk}/mcp-access"):
            assert program("PUT", address, {**asked, "server_id": rows[McpServer].pk}).status_code in (403, 404, 405)
            assert program("POST", address, {**asked, "server_id": rows[McpServer].pk}).status_code in (403, 404, 405)
    stranger = Client(headers={"X-Session-Id": "session-777", "X-Hermes-Session-Id": "session-777"})
    stranger.cookies["session_id"] = "session-777"
    assert stranger.get("/api/me").status_code == 401
    assert not set(tables.changed(before, tables.everything()))
    for address in ("/mcp", "/mcp/files"):  # answered before Django, by who shows an agent's token
        assert stranger.post(address).status_code == 404


def test_hole_06_no_viewer_starts_a_process_on_the_host(rows: Rows, monkeypatch: Any) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda self, *args, **rest: started.append(args))
    for name in ("ensure_running", "stop"):  # whatever driver would be asked

        async def asked(*args: Any, _name: str = name, **rest: Any) -> None:
            started.append(_name)

        monkeypatch.setattr(lifecycle, name, asked)
    Agent.objects.filter(pk=rows[Agent].pk).update(visibility="shared")
    bait = {**body(rows), "deploy_mode": "docker", "image": "evil", "command": "touch /evil", "args": ["-x"]}
    program = Program(person("vera", Role.VIEWER))

    for address in sorted(set(addresses())):
        if address.startswith("/api/"):
            path = filled(address, rows).removeprefix("/api/")
            for method in ("POST", "PUT", "PATCH"):
                program(method, path, bait)

    assert started == []


def test_hole_07_no_user_changes_the_default_model_or_sees_what_others_do(rows: Rows, route: ModelRoute) -> None:
    mallory = person("mallory-7")
    before = {row.pk: (row.is_default, row.model) for row in ModelRoute.objects.all()}
    program = Program(mallory)

    for path in ("routes", f"routes/{route.pk}", f"routes/{rows[ModelRoute].pk}"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert program(method, path, {"is_default": True, "model": "evil"}).status_code in (403, 404, 405, 422)
    whole = {"context_length": 4096}
    for each in (route, rows[ModelRoute]):
        assert program("PATCH", f"routes/{each.pk}", whole | {"version": each.version}).status_code == 404
        assert program("POST", f"routes/{each.pk}/default").status_code == 404
    assert {row.pk: (row.is_default, row.model) for row in ModelRoute.objects.all()} == before
    assert program.get("runs")["items"] == []
    assert "-777" not in browser_of(mallory).get("/").content.decode()
    for path in ("/status", "/api/status", "/api/sessions", "/metrics"):
        assert browser_of(mallory).get(path).status_code == 404


def test_hole_08_only_whose_run_it_is_decides_and_only_in_time(rows: Rows) -> None:
    asked = Approval.objects.get(pk=rows[Approval].pk)
    alice, otto = rows[User], person("otto-8", Role.OPERATOR)

    for who in (otto, person("mallory-8"), person("vera-8", Role.VIEWER)):
        program = Program(who)
        assert program("GET", f"approvals/{asked.pk}").status_code in (404, 405)
        assert program("POST", f"approvals/{asked.pk}", {"choice": "once"}).status_code in (403, 404)
        with pytest.raises(NotFound):
            approvals.decide(who, asked, "once")
        assert not (approvals.waiting_for(who) or Approval.objects.none()).exists()
    Approval.objects.filter(pk=asked.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict):
        approvals.decide(alice, asked, "once")
    Approval.objects.filter(pk=asked.pk).update(expires_at=timezone.now() + timedelta(minutes=1))
    assert approvals.decide(alice, asked, "once").state == ApprovalState.ALLOWED, "a plain user answers their own"


def test_hole_09_no_run_is_read_or_cloned_by_its_id_alone(rows: Rows) -> None:
    run, count = rows[Run].pk, Run.objects.count()
    Agent.objects.filter(pk=rows[Agent].pk).update(
        visibility="shared"
    )  # they may talk to it, and not read what she did
    for who in (person("mallory-9"), person("otto-9", Role.OPERATOR)):
        program = Program(who)
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/clone"), ("POST", "/cancel")):
            assert program(method, f"runs/{run}{path}", {}).status_code == 404
    assert Run.objects.count() == count


def test_hole_10_who_makes_an_agent_owns_it_and_alone_sees_it_while_it_is_private(alice: User, mallory: User) -> None:
    page = browser_of(alice).get("/agents/new/")
    assert page.status_code == 200
    made = _make_agent(alice)

    assert made.owner == alice
    assert made.visibility == "private"
    assert Program(alice).get(f"agents/{made.pk}")["name"] == made.name
    for who in (mallory, person("otto-10", Role.OPERATOR)):
        assert Program(who)("GET", f"agents/{made.pk}").status_code == 404


def _make_agent(owner: User) -> Agent:
    from agents import composition, souls

    routes.rehearsal_route()
    soul = Soul.objects.filter(owner=owner).first() or souls.create("Soul of theirs", "Text.", owner)
    return composition.create(owner, f"agent {Agent.objects.count()}", soul)


def test_hole_11_a_limit_is_applied_to_those_it_is_for_and_they_may_make_agents(ada: User) -> None:
    for role in (Role.USER, Role.OPERATOR):
        maker = person(f"maker-{role}", role)
        maker.max_agents = 1
        maker.save()
        assert Program(maker).get("agents")["items"] == []
        _make_agent(maker)
        with pytest.raises(Conflict):
            _make_agent(maker)
    assert not permissions.may(person("vera-11", Role.VIEWER), "agent.create")


def test_hole_12_roles_count_from_the_next_request_and_a_new_password_ends_other_sessions(ada: User) -> None:
    """The last admin: ``test_last_admin.py``."""
    otto = person("otto-12", Role.OPERATOR)
    client, elsewhere, program = Client(), Client(), Program(otto)
    for each in (client, elsewhere):
        each.post("/accounts/login/", {"login": "otto-12", "password": PASSWORD})
    assert client.get("/admin/").status_code == 200
    assert permissions.may(otto, "route.create")

    User.objects.filter(pk=otto.pk).update(role=Role.VIEWER, is_staff=False)
    assert client.get("/admin/").status_code == 302
    assert program.get("me")["role"] == "viewer"
    new = {"oldpassword": PASSWORD, "password1": "another long one 7", "password2": "another long one 7"}
    client.post("/accounts/password/change/", new)
    assert elsewhere.get("/account/").status_code == 302, "signed out by the new password"
    assert client.get("/account/").status_code == 200
    User.objects.filter(pk=otto.pk).update(is_active=False)
    assert client.get("/account/").status_code == 302
    assert program("GET", "me").status_code == 401

    weak = {"username": "weak", "role": "user", "usable_password": "true", "password1": "short", "password2": "short"}
    Console(ada).client.post("/admin/agents/user/add/", weak)
    assert not User.objects.filter(username="weak").exists()


def test_hole_13_no_key_is_stored_readable_anywhere_not_even_in_a_history(ada: User) -> None:
    lab = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example")
    console = Console(ada)
    for key in (KEY, KEY + "-second"):
        console.save(lab, key=key)
    lab.refresh_from_db()
    assert secrets.unseal(lab.sealed_key) == KEY + "-second"
    everything = "".join(
        json.dumps(row, default=str)
        for model in apps.get_models(include_auto_created=True)
        for row in model._base_manager.values()
    )

    assert lab.name in everything
    assert KEY not in everything
    assert SecurityEvent.objects.filter(kind="key_replaced").exists()
    histories = lab.history.values()  # type: ignore[attr-defined]
    assert histories.exists()
    assert lab.sealed_key not in json.dumps(list(histories), default=str), "not even sealed"


def test_hole_14_no_other_origin_may_read_an_answer(rows: Rows) -> None:
    """Writes by cookie: ``test_forged_requests.py`` tries every door."""
    client = browser_of(rows[User])
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PATCH"}
    for path in ("/", "/api/me", f"/api/agents/{rows[Agent].pk}", "/runs/", "/api/tokens", "/admin/"):
        for answer in (client.get(path, headers=headers), client.options(path, headers=headers)):
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")], path


def sandbox() -> Any:
    runtime = Runtime("0.19.0", Path("/r/venv"), Path("/usr/bin/python3"), ())
    return sandbox_spec(name="a", root=Path("/state/a"), runtime=runtime, config=HermesConfig("demo"), uid=200001)


def test_hole_15_no_sandbox_is_told_to_let_everybody_in() -> None:
    config = HermesConfig("demo")
    said = " ".join(
        [*fixed_files(config).values(), *live_files(config, "soul").values(), *map(str, sandbox().environment.items())]
    )

    assert "approvals" in said, "or this looks at nothing"
    assert not re.search(r"ALLOW_ALL|allow_all|BOT_TOKEN|bot_token", said)
    assert fixed_files(config)["/hermes/.env"] == ""


@pytest.mark.parametrize("wide", ["172.0.0.0/8", "0.0.0.0/0", "10.0.0.1", "*", "localhost", "169.254.169.254", "*.com"])
def test_hole_16_no_policy_opens_a_network_and_no_secret_is_in_what_a_process_list_shows(wide: str) -> None:
    with pytest.raises(Invalid):
        hosts.pattern(wide)
    spec = sandbox()
    shown = json.dumps([dict(spec.environment), list(spec.files)])
    assert not re.search(r"(?i)api_?key|token|secret|password", shown)


@pytest.mark.parametrize("choice", ["", "always", "Once", "allow", "once ", "session", "ONCE", "true", "1"])
def test_hole_17_whatever_is_not_a_clear_yes_is_no(rows: Rows, choice: str) -> None:
    asked = Approval.objects.get(pk=rows[Approval].pk)

    with pytest.raises(Invalid):
        approvals.decide(rows[User], asked, choice)
    asked.refresh_from_db()
    assert asked.state == ApprovalState.PENDING
    Approval.objects.filter(pk=asked.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    approvals.expire(Approval.objects.all())
    asked.refresh_from_db()
    assert asked.state == ApprovalState.EXPIRED, "and silence is no"
    assert '"manual"' in json.dumps(fixed_files(HermesConfig("demo"))) or "mode: manual" in " ".join(
        [*fixed_files(HermesConfig("demo")).values(), *live_files(HermesConfig("demo"), "x").values()]
    )


def test_hole_18_failures_are_counted_where_every_process_sees_them_and_per_client_behind_a_proxy(
    alice: User, settings: Any
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert settings.CACHES["default"]["BACKEND"].endswith(("DatabaseCache", "RedisCache"))

    def attempt(password: str, client_address: str) -> int:
        # What the proxy appends is the last; anybody can write what stands before it.
        seen = f"203.0.113.{hash(password) % 250}, {client_address}"
        client = Client(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": seen})
        return client.post("/accounts/login/", {"login": "alice", "password": password}).status_code

    for number in range(10):
        attempt(f"wrong-{number}", "198.51.100.1")

    assert attempt(PASSWORD, "198.51.100.1") != 302, "locked, whatever it claims to have come through"
    assert attempt(PASSWORD, "198.51.100.2") == 302, "and nobody else behind the same proxy is"


@pytest.mark.django_db
def test_hole_19_no_channel_is_open_and_secrets_on_disk_are_this_users_alone() -> None:
    assert not re.search(r"signal|whatsapp|telegram|discord|slack|webhook", " ".join(addresses()))
    directory = Path(settings.LOGOS_SECRETS)
    found = [directory, *directory.rglob("*")]
    assert len(found) > 2
    assert not [path for path in found if path.stat().st_mode & 0o077]
