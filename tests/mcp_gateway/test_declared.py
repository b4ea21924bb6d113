"""MCP servers as a YAML file: the plan, applying it, what it refuses and where, and that an export changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from agents import four_eyes
from agents.errors import Conflict, Invalid, LogosError
from agents.models import SecurityEvent, User, Visibility
from mcp_gateway import categories, servers
from mcp_gateway.declared import plan as planning
from mcp_gateway.declared import writing
from mcp_gateway.declared.text import LONGEST, read
from mcp_gateway.models import McpCategory, McpSecret, McpServer
from sandboxes.tool_server import rules
from sandboxes.tool_server.models import Layer, ToolRule
from tests import shell
from tests.api_client import Program
from tests.conftest import person

pytestmark = pytest.mark.django_db

WHOLE = """\
mcp_servers:
  github:
    command: npx
    args: [-y, "@modelcontextprotocol/server-github@2025.4.8"]
    env: {GITHUB_PERSONAL_ACCESS_TOKEN: "${GITHUB_TOKEN}", PORT: 8080, MODE: no}
    category: code
    timeout: 60
    visibility: shared
    tools: {exclude: [delete_repository]}
    require_approval: [create_issue]
  tickets:
    url: https://tickets.example.org/mcp
    headers: {Authorization: "Bearer ${TOKEN}"}
    tier: admin_approve
    enabled: false
mcp_policy:
  auto_approve: [weather]
  admin_approve: [code]
  deny: [finance]
  calls: {code: ask}
  tools:
    tickets.*: {tier: allow, per_minute: 30}
    github.push:
      - {tier: allow, argument: repo=acme/*, note: Our own.}
      - block
    "*": notify
"""


def refused(user: User, text: str) -> str:
    with pytest.raises(LogosError) as caught:
        planning.plan(user, text, "servers.yaml")
    return f"{caught.value.message} {caught.value.action}"


def test_a_file_makes_what_it_says_and_the_same_file_again_changes_nothing(ada: User) -> None:
    planned = planning.plan(ada, WHOLE)
    assert not McpServer.objects.exists()
    assert not ToolRule.objects.exists()
    assert not SecurityEvent.objects.filter(kind="mcp_category_set").exists()

    done = planning.apply(ada, WHOLE, digest=planned.digest)
    again = planning.plan(ada, WHOLE)

    github, tickets = McpServer.objects.order_by("name")
    assert github.env == {"GITHUB_PERSONAL_ACCESS_TOKEN": "${GITHUB_TOKEN}", "PORT": "8080", "MODE": "no"}
    assert (github.timeout_s, github.exclude, github.visibility) == (60, ["delete_repository"], Visibility.SHARED)
    assert (tickets.kind, tickets.tier, tickets.enabled) == ("http", "admin", False)
    assert {row.name: (row.access, row.calls) for row in McpCategory.objects.all()} == {
        "weather": ("auto", "allow"), "code": ("admin", "ask"), "finance": ("deny", "allow"),
    }  # fmt: skip
    assert sorted(str(row) for row in ToolRule.objects.all()) == [
        "Allow and tell: mcp:*", "Allow: mcp:github.push on argument repo=acme/*", "Allow: mcp:tickets.*",
        "Ask first: mcp:github.create_issue", "Block: mcp:github.push",
    ]  # fmt: skip
    assert done.steps == planned.steps
    assert (done.changes, again.changes) == (10, 0)
    assert "github: It names the secret GITHUB_TOKEN, which is not set." in done.warnings


def test_what_is_exported_and_applied_changes_nothing_and_makes_the_same_elsewhere(ada: User) -> None:
    planning.apply(ada, WHOLE)
    github = McpServer.objects.get(name="github")
    servers.put_secret(ada, github.pk, "GITHUB_TOKEN", "a-value-nobody-reads")
    servers.change(ada, github.pk, None, description="Ümläut: 'yes', {no} # 1.10", scopes="", limits={"open_files": 64})

    text = writing.exported(ada)
    assert planning.plan(ada, text).changes == 0
    assert planning.plan(ada, text).kept == ()
    assert "a-value-nobody-reads" not in text

    McpServer.objects.all().delete()
    McpCategory.objects.all().delete()
    ToolRule.objects.all().delete()
    planning.apply(ada, text)
    assert writing.exported(ada) == text.replace("    secrets:\n    - GITHUB_TOKEN\n", "")


def test_what_the_file_does_not_name_is_kept_and_told(ada: User) -> None:
    kept = servers.create(ada, "kept", "true", timeout_s=7)
    categories.put(ada, "old", "deny", "ask")
    rules.put(ada, None, tool="mcp:kept.*", tier="ask", layer=Layer.SITE)
    servers.create(ada, "files", "mcp-files", category="disk", timeout_s=9)

    found = planning.apply(ada, "mcp_servers: {files: {timeout: 30}}")

    files = McpServer.objects.get(name="files")
    assert (files.command, files.category, files.timeout_s) == ("mcp-files", "disk", 30)
    assert found.steps == (planning.Step("server files", "change", ("timeout: 9 → 30",)),)
    assert found.kept == ("server kept", "category old", "rule for kept.*")
    kept.refresh_from_db()
    assert kept.timeout_s == 7


def test_null_makes_a_part_as_in_a_new_server(ada: User) -> None:
    servers.create(ada, "files", "mcp-files", timeout_s=9, category="disk")

    planning.apply(ada, "mcp_servers: {files: {timeout: ~, category: null, enabled: false}}")

    files = McpServer.objects.get()
    assert (files.timeout_s, files.category, files.enabled, files.command) == (120, "", False, "mcp-files")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mcp_servers:\n  github:\n    comand: npx\n", "servers.yaml, line 3, mcp_servers.github.comand: This means nothing here. Did you mean command?"),
        ("mcp_server: {}\n", "line 1, mcp_server: This means nothing here. Did you mean mcp_servers?"),
        ("model: x\nmcp_servers: {}\n", "Known here: mcp_servers, mcp_policy."),
        ("mcp_servers:\n  a:\n    command: x\n  a:\n    command: y\n", "line 4: mcp_servers.a stands twice."),
        ("a: &x [1]\nb: *x\n", "line 1: this cannot be read: anchors (&) and aliases (*) are not taken"),
        ("mcp_servers: !!python/object:os.system {}\n", "tags (!) are not taken"),
        ("mcp_servers: [" * 40, "nested too deeply"),
        ("mcp_servers:\n\tgithub: {}\n", "line 2: this cannot be read"),
        ("--- {}\n--- {}\n", "line 2: this cannot be read"),
        ("mcp_servers: {a: {command: x, description: \"\\0\"}}", "the description may have 300 characters"),
        ("mcp_servers: \ud800", "a character that no text has"),
        ("#" * (LONGEST + 1), "more than 200,000 characters"),
        ("[a list]", "Names with values belong here"),
        ("mcp_servers: {a: {command: x, enabled: no}}", "mcp_servers.a.enabled: This is true or false."),
        ("mcp_servers: {a: {command: x, timeout: soon}}", "mcp_servers.a.timeout: This is a whole number."),
        ("mcp_servers: {a: {command: x, timeout: 99999}}", "mcp_servers.a.timeout: A time limit is 1 to 3,600 seconds."),
        ("mcp_servers: {a: {command: x, env: {DEBUG: true}}}", "mcp_servers.a.env.DEBUG: This is a text. Put it in quotes."),
        ("mcp_servers: {a: {command: x, args: -y}}", "mcp_servers.a.args: This is a list."),
        ("mcp_servers: {a: {command: x y}}", "mcp_servers.a.command: The command is one program"),
        ("mcp_servers: {a: }", "mcp_servers.a.command: Say which program is the server."),
        ("mcp_servers: {logos: {command: x}}", "mcp_servers.logos: logos is a name of Logos itself."),
        ("mcp_servers: {a: {command: x, tier: me}}", "mcp_servers.a.tier: This is one of: category, auto,"),
        ("mcp_servers: {a: {command: x, tools: {exlude: [b]}}}", "mcp_servers.a.tools.exlude: This means nothing here. Did you mean exclude?"),
        ("mcp_servers: {a: {url: 'http://10.0.0.1/mcp'}}", "mcp_servers.a.url: "),
        ("mcp_servers: {a: {command: x, secrets: {TOKEN: abc}}}", "mcp_servers.a.secrets.TOKEN: A secret is set from a file or a variable"),
        ("mcp_servers: {a: {command: x, secrets: {T_file: x, T_env: x}}}", "A secret is set twice."),
        ("mcp_policy: {deny: [x], auto_approve: [x]}", "The category x stands in two places."),
        ("mcp_policy: {calls: {x: maybe}}", "mcp_policy.calls.x: This is one of: allow, notify, ask, block."),
        ("mcp_policy: {tools: {nothing: ask}}", "mcp_policy.tools.nothing: This names no tool."),
        ("mcp_policy: {tools: {a.b: {per_minute: 5}}}", "mcp_policy.tools.a.b.tier: This is one of"),
        ("mcp_policy: {tools: {a.b: {tier: ask, per_minute: -5}}}", "A rate lies between 1 and"),
        ("mcp_policy: {tools: {a.b: {tier: ask, argument: x}}}", "Write an argument's name, = and what it holds."),
        ("mcp_servers: {a: {command: x, require_approval: [b]}}\nmcp_policy: {tools: {a.b: allow}}", "There are two rules for a.b."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place_and_the_way_forward(ada: User, text: str, words: str) -> None:
    assert words.casefold() in refused(ada, text).casefold()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("mcp_servers:\n  a:\n    command: x\n    env:\n      KEY: sk-ant-api03-{0}\n", "line 5, mcp_servers.a.env.KEY"),
        ("mcp_servers:\n  a:\n    command: x\n    args:\n      - --key=sk-ant-api03-{0}\n", "line 5, mcp_servers.a.args[0]"),
        ("mcp_servers:\n  a:\n    command: x\n    description: ghp_{0}\n", "line 4, mcp_servers.a.description"),
        ("mcp_servers:\n  a:\n    command: x\n    env:\n      API_TOKEN: plainwords\n", "line 5, mcp_servers.a.env.API_TOKEN"),
        ("mcp_servers:\n  a:\n    url: https://x.example/mcp\n    headers:\n      Authorization: plainwords\n", "line 5, mcp_servers.a.headers.Authorization"),
    ],
)  # fmt: skip
def test_a_secret_in_the_file_is_refused_by_its_place_and_never_repeated(ada: User, text: str, place: str) -> None:
    value = "Zm9vYmFyYmF6cXV4" * 3
    said = refused(ada, text.replace("{0}", value))

    assert place in said
    assert "${NAME}" in said
    assert value not in said
    assert "plainwords" not in said


def test_all_of_the_file_happens_or_nothing(ada: User) -> None:
    with pytest.raises(Invalid):
        planning.apply(
            ada, "mcp_servers: {a: {command: x}}\nmcp_policy: {deny: [one], tools: {a.b: {tier: ask, per_hour: 0}}}"
        )

    assert not McpServer.objects.exists()
    assert not McpCategory.objects.exists()


def test_a_plan_that_is_not_the_one_that_was_looked_at_is_not_carried_out(ada: User) -> None:
    text = "mcp_servers: {files: {timeout: 30}}"
    files = servers.create(ada, "files", "mcp-files")
    planned = planning.plan(ada, text)
    servers.change(ada, files.pk, None, timeout_s=50)

    with pytest.raises(Conflict) as caught:
        planning.apply(ada, text, digest=planned.digest)

    files.refresh_from_db()
    assert (caught.value.reason, files.timeout_s) == ("stale", 50)


def test_everybody_does_with_a_file_what_they_may_do_by_hand(ada: User, alice: User) -> None:
    olga = person("olga", "operator")
    servers.create(ada, "seen", "mcp-seen", visibility=Visibility.SHARED)
    servers.create(ada, "hidden", "mcp-hidden")
    seen = "mcp_servers: {seen: {command: mcp-seen}}"

    assert planning.plan(olga, seen).changes == 0
    assert planning.plan(olga, seen).kept == ()
    assert "may see this server, and not change it" in refused(olga, seen.replace("}}", ", timeout: 5}}"))
    assert "This name is taken" in refused(olga, "mcp_servers: {hidden: {url: 'https://x.example/mcp'}}")
    planning.apply(olga, "mcp_servers: {mine: {url: 'https://x.example/mcp'}}")
    for text in ("mcp_servers: {new: {command: x}}", "mcp_policy: {deny: [x]}", "mcp_policy: {tools: {mine.*: ask}}"):
        with pytest.raises(LogosError) as caught:
            planning.apply(olga, text)
        assert caught.value.reason in ("forbidden", "not_found")
    with pytest.raises(LogosError):
        planning.plan(alice, seen)
    assert "hidden" not in writing.exported(olga)
    assert "hidden" not in str(planning.plan(olga, seen))


def test_a_rule_that_loosens_waits_for_a_second_person_and_the_rest_is_done(ada: User) -> None:
    rules.put(ada, None, tool="mcp:a.b", tier="block", layer=Layer.SITE)
    four_eyes.switch(ada, True)

    done = planning.apply(ada, "mcp_policy: {deny: [x], tools: {a.b: allow, a.c: block}}")

    assert [step.verb for step in done.steps] == ["add", "waits", "add"]
    assert ToolRule.objects.get(tool="mcp:a.b").tier == "block"
    assert ToolRule.objects.filter(tool="mcp:a.c").exists()


def test_the_command_shows_the_plan_sets_secrets_and_is_idempotent(
    ada: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text(
        "mcp_servers:\n  files:\n    command: mcp-files\n    env: {A: '${ONE}', B: '${TWO}'}\n"
        "    secrets: {ONE_file: one.txt, TWO_env: VALUE_OF_TWO}\n"
    )
    (tmp_path / "one.txt").write_text("first-value\n")

    missing = shell.run("mcp", "apply", str(file), "--yes")
    monkeypatch.setenv("VALUE_OF_TWO", "second-value")
    looked = shell.run("mcp", "apply", str(file), "--plan")
    unasked = shell.run("mcp", "apply", str(file))
    assert not McpServer.objects.exists()
    done = shell.run("mcp", "apply", str(file), "--yes")
    again = shell.run("mcp", "apply", str(file), "--yes")
    (tmp_path / "one.txt").write_text("other-value\n")
    renewed = shell.run("mcp", "apply", str(file), "--yes")

    assert missing.code == 1
    assert (
        "servers.yaml, line 5, mcp_servers.files.secrets.TWO_env: The variable VALUE_OF_TWO is not set." in missing.said
    )
    assert "+ server files" in looked.out
    assert "secret ONE: set from the file one.txt" in looked.out
    assert (unasked.code, "Nobody can be asked here" in unasked.said) == (1, True)
    assert (done.code, done.said) == (0, "Done; changes: 1.\n")
    assert again.out == "= server files\nEverything is as the file says.\n"
    assert "secret ONE: another value from the file one.txt" in renewed.out
    assert McpSecret.objects.count() == 2
    assert "value" not in (missing.out + looked.out + done.out + again.out).replace("another value", "")
    assert shell.run("mcp", "export").out == writing.exported(ada)


def test_a_file_that_is_no_text_or_not_there_is_refused(ada: User, tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    for name in ("binary.yaml", "none.yaml"):
        assert "cannot be read as text" in shell.run("mcp", "apply", str(tmp_path / name), "--yes").said


def test_words_of_yaml_that_only_look_like_other_things_are_texts() -> None:
    source = read("a: no\nb: 1.10\nc: 012\nd: 2025-04-08\ne: 'true'\nf: True\ng: 12\nh:\ni: 1:30\n")

    assert source.value == {
        "a": "no", "b": "1.10", "c": "012", "d": "2025-04-08", "e": "true", "f": True, "g": 12, "h": None, "i": "1:30",
    }  # fmt: skip


def test_programs_get_the_plan_carry_it_out_and_export(ada: User, alice: User) -> None:
    ask = Program(ada)
    text = "mcp_servers: {files: {command: mcp-files, timeout: 30}}"

    planned = ask.post("mcp-configuration/plan", {"text": text})
    assert not McpServer.objects.exists()
    done = ask.post("mcp-configuration/apply", {"text": text, "digest": planned["digest"]})
    late = ask.post("mcp-configuration/apply", {"text": text, "digest": planned["digest"]}, 409)

    assert planned == done
    assert planned["steps"][0] == {
        "what": "server files", "verb": "add", "lines": ["command: mcp-files", "timeout: 120 → 30"],
    }  # fmt: skip
    assert late["error"]["reason"] == "stale"
    assert "timeout: 30" in ask.get("mcp-configuration")["text"]
    assert "mcp-files" not in Program(alice).get("mcp-configuration")["text"]
    Program(alice).post("mcp-configuration/plan", {"text": text}, 403)
    secret = {"text": "mcp_servers: {files: {secrets: {T_file: /etc/hostname}}}"}
    assert "read by the command only" in ask.post("mcp-configuration/plan", secret, 400)["error"]["message"]


def test_the_page_keeps_what_was_typed_shows_the_plan_and_carries_it_out(
    browser: Callable[..., Client], ada: User, alice: User
) -> None:
    address, text = "/mcp-servers/file/", "mcp_servers:\r\n  files-4711:\r\n    command: mcp-files\r\n"
    page = browser(ada)

    wrong = page.post(address, {"text": text + "    comand: x\r\n"})
    looked = page.post(address, {"text": text})
    assert not McpServer.objects.exists()
    uploaded = page.post(address, {"text": "", "file": SimpleUploadedFile("servers.yaml", text.encode())})
    plan = looked.context["plan"]
    changed = page.post(address, {"text": text, "do": "apply", "digest": "0" * 64})
    done = page.post(address, {"text": text, "do": "apply", "digest": plan.digest}, follow=True)
    binary = page.post(address, {"file": SimpleUploadedFile("servers.yaml", b"\xff")})

    assert (wrong.status_code, looked.status_code, uploaded.status_code, changed.status_code) == (400, 200, 200, 409)
    assert "Did you mean command?" in wrong.content.decode()
    assert "comand: x" in wrong.content.decode()
    for answer in (looked, uploaded, changed):
        assert "server files-4711" in answer.content.decode()
        assert "Apply this" in answer.content.decode()
    assert "The file is applied; changes: 1." in done.content.decode()
    assert McpServer.objects.get().name == "files-4711"
    assert (binary.status_code, "This file is no text." in binary.content.decode()) == (400, True)
    assert browser(alice).post(address, {"text": text}).status_code == 403
    exported = page.get("/mcp-servers/export/")
    assert "files-4711" in exported.content.decode()
    assert "attachment" in exported["Content-Disposition"]
    assert "files-4711" not in browser(alice).get("/mcp-servers/export/").content.decode()
