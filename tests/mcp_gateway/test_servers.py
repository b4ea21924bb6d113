"""Writing MCP servers: who may say what runs on the host, what is refused, what is kept secret."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from agents import halting, permissions, sharing
from agents.editing import Stale
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Halt, Role, SecurityEvent, User, Visibility
from mcp_gateway import categories, servers
from mcp_gateway.models import McpAccount, McpClient, McpHealth, McpSecret, McpServer
from sandboxes.tool_server import rules as tool_rules
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console


@pytest.fixture
def olga(db: None) -> User:
    return person("olga", Role.OPERATOR)


@pytest.fixture
def files(ada: User) -> McpServer:
    return servers.create(ada, "files", "mcp-files", args=["--root", "/srv"], visibility=Visibility.SHARED)


def test_only_admins_say_what_runs_on_the_host(ada: User, olga: User, alice: User) -> None:
    for who in (olga, alice):
        with pytest.raises(LogosError) as refused:
            servers.create(who, "mine", "true")
        assert refused.value.reason == "forbidden"

    assert servers.create(ada, "mine", "true").owner == ada


@pytest.mark.parametrize(
    "change",
    [
        {"command": "sh"},
        {"args": ["-c"]},
        {"env": {"LD_PRELOAD": "/x.so"}},
        {"cwd": "/srv/elsewhere"},
        {"limits": {"open_files": 64}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_operator_who_manages_a_server_does_not_change_its_launch(
    ada: User, olga: User, files: McpServer, change: dict
) -> None:
    sharing.grant(ada, olga, "manage", files)

    with pytest.raises(LogosError) as refused:
        servers.change(olga, files.pk, files.version, **change)

    assert refused.value.reason == "forbidden"
    files.refresh_from_db()
    assert (files.command, files.args, files.env, files.cwd, files.limits) == (
        "mcp-files",
        ["--root", "/srv"],
        {},
        "",
        {},
    )


def test_an_operator_who_edits_a_server_changes_the_rest(ada: User, olga: User, files: McpServer) -> None:
    sharing.grant(ada, olga, "edit", files)

    servers.change(olga, files.pk, files.version, enabled=False, exclude=["delete"], command="mcp-files")

    files.refresh_from_db()
    assert (files.enabled, files.exclude, files.version) == (False, ["delete"], 2)


def test_the_console_shows_an_operator_the_command_and_lets_nobody_but_admins_type_it(
    ada: User, olga: User, files: McpServer
) -> None:
    sharing.grant(ada, olga, "edit", files)

    answer = Console(olga).save(files, description="Files", command="sh")

    files.refresh_from_db()
    assert answer.status_code == 302
    assert (files.description, files.command) == ("Files", "mcp-files")


def test_the_console_refuses_what_the_other_doors_refuse(ada: User, files: McpServer) -> None:
    answer = Console(ada).save(files, args='["--token=abcdefgh12345678"]')

    assert answer.status_code == 200
    assert "every user of the host can read arguments" in answer.content.decode()


def test_the_console_keeps_what_hangs_on_a_server_as_every_door_does(ada: User, olga: User, files: McpServer) -> None:
    """Its tier and category are for whoever manages it; its name stays while rules name it."""
    sharing.grant(ada, olga, "edit", files)
    categories.put(ada, "danger", "deny", "block")
    tool_rules.put(ada, None, tool="mcp:files.*", tier="block", layer="site")

    for values in ({"tier": "auto"}, {"category": "danger"}, {"name": "other"}):
        answer = Console(olga).save(files, **values)
        assert answer.status_code == 200, values
    assert "Rules about calls name this server" in Console(ada).save(files, name="other").content.decode()

    files.refresh_from_db()
    assert (files.name, files.tier, files.category) == ("files", "category", "")


def test_an_address_typed_in_the_console_forgets_the_accounts_of_the_one_before(ada: User) -> None:
    there = servers.create(ada, "there", kind="http", url="https://a.example.org/mcp", account="shared")
    client = McpClient.objects.create(server=there, issuer="https://sign-in.example.org", origin="written")
    McpAccount.objects.create(server=there, client=client)

    assert Console(ada).save(there, url="https://b.example.org/mcp").status_code == 302

    assert not there.accounts.exists()


def test_who_may_see_it_sees_no_other(ada: User, alice: User, files: McpServer) -> None:
    hidden = servers.create(ada, "hidden", "true")

    assert list(permissions.visible(alice, McpServer.objects.all())) == [files]
    assert [each["name"] for each in Program(alice).get("mcp-servers")["items"]] == ["files"]
    assert Program(alice).get(f"mcp-servers/{hidden.pk}", 404)["error"]["reason"] == "not_found"
    with pytest.raises(NotFound):
        servers.restart(alice, files.pk)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"name": "Files"}, "name", "invalid"),
        ({"name": "a__b"}, "name", "invalid"),
        ({"name": "a--b"}, "name", "invalid"),
        ({"name": "a" * 33}, "name", "invalid"),
        ({"name": "файлы"}, "name", "invalid"),
        ({"name": "control"}, "name", "reserved_name"),
        ({"name": "logos"}, "name", "reserved_name"),
        ({"command": "sh -c ls"}, "command", "invalid"),
        ({"command": "bin/server"}, "command", "invalid"),
        ({"command": ""}, "command", "invalid"),
        ({"args": ["--token", "sk-abcDEF1234567890abcdef"]}, "args", "secret_in_args"),
        ({"args": ["--api-key=plain-words-here"]}, "args", "secret_in_args"),
        ({"args": ["--password", "hunter2"]}, "args", "secret_in_args"),
        ({"args": ["a\u202eb"]}, "args", "hidden_character"),
        ({"category": "a\u202eb"}, "category", "invalid"),
        ({"description": "a\u200bb"}, "description", "invalid"),
        ({"args": ["--apiKey", "hunter2"]}, "args", "secret_in_args"),
        ({"args": ["--config", '{"a": [{"authToken": "abc123"}]}']}, "args", "secret_in_args"),
        ({"args": ["${TOKEN}"]}, "args", "secret_in_args"),
        ({"args": ["a\x00b"]}, "args", "invalid"),
        ({"args": "ls"}, "args", "invalid"),
        ({"args": ["x"] * 65}, "args", "invalid"),
        ({"env": {"GITHUB_TOKEN": "plain-words"}}, "env", "secret_in_env"),
        ({"env": {"X": "ghp_abcdefghij1234567890"}}, "env", "secret_in_env"),
        ({"env": {"A B": "x"}}, "env", "invalid"),
        ({"cwd": "../etc"}, "cwd", "invalid"),
        ({"cwd": "/srv/../etc"}, "cwd", "invalid"),
        ({"limits": {"cpus": 1}}, "limits", "invalid"),
        ({"limits": {"memory_mb": 1}}, "limits", "invalid"),
        ({"limits": {"memory_mb": True}}, "limits", "invalid"),
        ({"timeout_s": 0}, "timeout_s", "invalid"),
        ({"include": [""]}, "include", "invalid"),
        ({"owner_id": 1}, "owner_id", "invalid"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(ada: User, fields: dict, field: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        servers.create(ada, **{"name": "files", "command": "true", **fields})

    assert (refused.value.field, refused.value.reason) == (field, reason)
    assert not McpServer.objects.exists()


def test_a_secret_is_sealed_told_to_nobody_and_named_in_the_audit(ada: User, files: McpServer) -> None:
    program = Program(ada)
    answer = program("PUT", f"mcp-servers/{files.pk}/secrets/GITHUB_TOKEN", {"value": "planted-secret-41"})

    shown = program.get(f"mcp-servers/{files.pk}")
    past = "".join(
        str(list(model._default_manager.values())) for model in apps.get_app_config("mcp_gateway").get_models()
    )
    assert answer.status_code == 200
    assert shown["secrets"] == ["GITHUB_TOKEN"]
    assert "planted" not in f"{answer.content}{shown}{past}{list(SecurityEvent.objects.values())}"
    assert SecurityEvent.objects.get(kind="mcp_secret_set").object_id == files.pk
    assert McpSecret.objects.get().sealed.startswith("gAAAA")


def test_a_server_says_what_it_lacks_and_what_to_beware_of(ada: User) -> None:
    made = servers.create(ada, "gh", "npx", args=["-y", "server-github"], env={"A_TOKEN": "${A_TOKEN}"})

    assert len(servers.warnings(made)) == 2
    servers.put_secret(ada, made.pk, "A_TOKEN", "long enough")
    servers.change(ada, made.pk, made.version, args=["-y", "@scope/server-github@1.2.3"])
    assert servers.warnings(McpServer.objects.get()) == []


def test_two_who_save_at_once_notice(ada: User, files: McpServer) -> None:
    servers.change(ada, files.pk, 1, description="One")

    with pytest.raises(Stale):
        servers.change(ada, files.pk, 1, description="Two")
    answer = Program(ada)("PATCH", f"mcp-servers/{files.pk}", {"version": 1, "description": "Two"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "stale")


def test_a_name_is_taken_once(ada: User, files: McpServer) -> None:
    with pytest.raises(Conflict) as refused:
        servers.create(ada, "files", "true")

    assert refused.value.reason == "name_taken"


def test_a_restart_is_asked_for_and_noted(ada: User, files: McpServer) -> None:
    answer = Program(ada)("POST", f"mcp-servers/{files.pk}/restart")

    assert answer.status_code == 202
    assert McpHealth.objects.get().restarts_asked == 1
    assert SecurityEvent.objects.get(kind="mcp_restarted").actor == ada
    servers.change(ada, files.pk, files.version, enabled=False)
    refused = Program(ada)("POST", f"mcp-servers/{files.pk}/restart")
    assert (refused.status_code, refused.json()["error"]["reason"]) == (409, "disabled")


def test_a_list_costs_the_same_however_long(ada: User, django_assert_max_num_queries) -> None:
    program = Program(ada)
    for number in range(12):
        servers.put_secret(ada, servers.create(ada, f"s{number}", "true").pk, "A", "long enough")

    with django_assert_max_num_queries(8):
        assert len(program.get("mcp-servers")["items"]) == 12


def test_an_old_command_is_not_put_back_from_the_history(ada: User, files: McpServer) -> None:
    from agents.past import kinds

    assert not kinds.may_change(ada, kinds.find(ada, "server", files.pk))
    assert files.history.count() == 1


def test_the_shell_does_the_same(ada: User, run_command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "another secret")
    made = run_command("mcp", "add", "notes", "mcp-notes", "--arg=--fast", "--env", "KEY_FILE=/x", "--category", "text")
    run_command("mcp", "secret", "notes", "A_KEY", "--from-env", "FROM_HERE")
    run_command("mcp", "edit", "notes", "--disable", "--exclude", "wipe")

    server = McpServer.objects.get(pk=made.strip())
    assert (server.args, server.env, server.enabled, server.exclude) == (
        ["--fast"],
        {"KEY_FILE": "/x"},
        False,
        ["wipe"],
    )
    assert "notes" in run_command("mcp", "list")
    assert server.secrets.get().name == "A_KEY"
    run_command("mcp", "edit", "notes", "--host", "api.example.org", "--show", "/srv/notes", "--disable")
    server.refresh_from_db()
    assert (server.hosts, server.shows) == (["api.example.org"], ["/srv/notes"])
    run_command("mcp", "edit", "notes", "--host", "", "--show", "", "--env", "")
    server.refresh_from_db()
    assert (server.hosts, server.shows, server.env) == ([], [], {})
    run_command("mcp", "delete", "notes")
    assert not McpServer.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hosts", ["10.0.0.1"], "host"),
        ("hosts", ["localhost"], ""),
        ("hosts", ["api.example.org:0"], "a port is 1 to 65535"),
        ("hosts", ["api.example.org:x"], "a port is 1 to 65535"),
        ("hosts", ["https://api.example.org"], ""),
        ("hosts", ["*.com"], ""),
        ("hosts", "api.example.org", "a list"),
        ("hosts", [f"h{n}.example.org" for n in range(51)], "at most 50"),
        ("shows", ["relative"], "an absolute path"),
        ("shows", ["/srv/../etc"], "an absolute path"),
        ("shows", ["/srv/a/"], "an absolute path"),
        ("shows", ["/"], "more than one server needs"),
        ("shows", ["/home"], "more than one server needs"),
        ("shows", ["/proc/1"], "cannot be shown"),
        ("shows", ["/etc/shadow"], "cannot be shown"),
        ("shows", ["/root/.ssh"], "cannot be shown"),
        ("shows", ["/home/ada"], "more than one server needs"),
        ("shows", ["/home/ada/.ssh"], "cannot be shown"),
        ("shows", ["/opt"], "more than one server needs"),
        ("shows", [str(settings.LOGOS_HOME / "secrets")], "files of Logos itself"),
        ("shows", [str(settings.LOGOS_HOME)], "files of Logos itself"),
        pytest.param("cwd", str(settings.LOGOS_HOME / "mcp"), "files of Logos itself", id="cwd-of-logos"),
        ("shows", ["/tmp/x"], "cannot be shown"),
        ("shows", ["/run/docker.sock"], "cannot be shown"),
        ("shows", [7], "an absolute path"),
        ("cwd", "/tmp/x", "cannot be shown"),
        ("place", "elsewhere", "runs in one of"),
    ],
)
def test_what_a_sandbox_of_a_server_may_not_have_is_refused(ada: User, field: str, value: object, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        servers.create(ada, "files", "true", **{field: value})

    assert said in refused.value.message
    assert refused.value.field == field
    assert not McpServer.objects.exists()


def test_a_new_program_gets_a_sandbox_and_its_hosts_one_spelling(ada: User) -> None:
    made = servers.create(ada, "files", "true", hosts=["API.example.org", "api.example.org:443", "*.Example.net:8443"])

    assert (made.place, made.hosts) == ("sandbox", ["api.example.org", "*.example.net:8443"])
    with pytest.raises(Invalid) as refused:
        servers.change(ada, made.pk, None, place="host")
    assert (refused.value.field, "sees and reaches everything" in refused.value.message) == ("hosts", True)
    assert servers.change(ada, made.pk, None, place="host", hosts=[]).place == "host"


def test_who_may_not_launch_takes_down_no_wall(ada: User, olga: User) -> None:
    made = servers.create(ada, "files", "true", visibility=Visibility.SHARED)
    sharing.grant(ada, olga, "edit", made)

    for fields in ({"place": "host"}, {"hosts": ["evil.example.org"]}, {"shows": ["/srv/letters"]}):
        with pytest.raises(LogosError) as refused:
            servers.change(olga, made.pk, None, **fields)
        assert refused.value.reason == "forbidden"
    assert servers.change(olga, made.pk, None, allows_new=True).allows_new


def test_a_name_that_rules_or_a_stop_hang_on_stays(ada: User, olga: User) -> None:
    server = servers.create(ada, "evil", "mcp-evil")
    sharing.grant(ada, sharing.subject(person="olga"), "edit", server)
    rule = tool_rules.put(ada, None, tool="mcp:evil.t2", tier="block", layer="site")
    tool_rules.put(ada, None, tool="mcp:evil-twin.*", tier="block", layer="site")

    for user in (olga, ada):
        with pytest.raises(Conflict) as caught:
            servers.change(user, server.pk, None, name="harmless")
        assert caught.value.reason == "named"
    tool_rules.remove(ada, rule)
    halt = halting.stop(ada, "server", "evil", "It spies.")
    with pytest.raises(Conflict):
        servers.change(olga, server.pk, None, name="harmless")
    assert McpServer.objects.get().name == "evil"
    Halt.objects.filter(pk=halt.pk).update(lifted_at=timezone.now())
    assert servers.change(olga, server.pk, None, name="harmless").name == "harmless"


def test_who_only_edits_a_server_takes_it_out_of_no_stricter_category(ada: User, olga: User) -> None:
    server = servers.create(ada, "box", "mcp-box", category="danger")
    sharing.grant(ada, sharing.subject(person="olga"), "edit", server)
    categories.put(ada, "danger", "deny", "block")

    for category in ("", "code"):
        with pytest.raises(NotFound):
            servers.change(olga, server.pk, None, category=category)
    servers.change(ada, server.pk, None, category="code")
    assert servers.change(olga, server.pk, None, category="text").category == "text"
    with pytest.raises(NotFound):
        servers.change(olga, server.pk, None, category="danger")
    servers.change(ada, server.pk, None, tier="user")
    categories.put(ada, "danger", "deny", "allow")
    assert servers.change(olga, server.pk, None, category="danger").category == "danger"


def test_a_category_is_called_by_what_one_sees(ada: User) -> None:
    for name in ("a\u202eb", "a\u200bb", "", "x" * 41, "a\nb"):
        with pytest.raises(Invalid):
            categories.put(ada, name, "user", "allow")
    assert categories.put(ada, "Größe & Form", "user", "allow").name == "Größe & Form"
