"""Accounts at MCP servers elsewhere: the way to a sign-in and back, whose they are, and what must not come through."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents import sharing
from agents.errors import LogosError, NotFound
from agents.models import Role, SecurityEvent, User, Visibility
from mcp_gateway import servers
from mcp_gateway.models import McpAccount, McpClient, McpServer
from mcp_gateway.oauth import accounts, connecting, finding, metadata
from mcp_gateway.oauth.asking import Answer
from tests.api_client import Program
from tests.conftest import person
from tests.mcp_gateway.sign_in import SignIn, a_sign_in, address_of

BASE = "http://testserver"


@pytest.fixture
def olga(db: None) -> User:
    return person("olga", Role.OPERATOR)


def server_at(ada: User, sign_in: SignIn, account: str = "shared", **fields: Any) -> McpServer:
    return servers.create(
        ada,
        "tickets",
        kind="http",
        url=f"{sign_in.base}/mcp",
        allows_private=True,
        account=account,
        visibility=Visibility.SHARED,
        **fields,
    )


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def leave(client: Client, server: McpServer) -> str:
    """Press Connect; the address that the page leads to."""
    page = client.post(f"/mcp-accounts/{server.pk}/connect/")
    assert page.status_code == 200, page.content.decode()
    found = re.search(r'href="(http[^"]*/authorize[^"]*)"', page.content.decode())
    assert found is not None
    return unescape(found[1])


def connect(client: Client, server: McpServer, sign_in: SignIn) -> McpAccount:
    answer = client.get(address_of(sign_in.allow(leave(client, server))))
    assert (answer.status_code, answer["Location"]) == (302, "/mcp-accounts/"), answer.content.decode()
    return McpAccount.objects.select_related("client").latest("connected_at")


def test_a_person_connects_an_account_and_it_is_kept_sealed(ada: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)

        account = connect(client, server, sign_in)

        page = client.get("/mcp-accounts/").content.decode()
        assert "connected" in page
        assert "tickets:read offline_access" in page
        assert sign_in.base in page
        assert account.is_connected
        assert (account.person, account.resource) == (None, f"{sign_in.base}/mcp")
        row = json.dumps(McpAccount.objects.values().get(), default=str)
        assert "access-token" not in row
        assert "refresh-token" not in row
        registered = sign_in.clients["client-1"]
        assert registered["redirect_uris"] == [f"{BASE}/mcp-accounts/callback/"]
        assert (registered["token_endpoint_auth_method"], registered["application_type"]) == ("none", "web")
        event = SecurityEvent.objects.get(kind="mcp_account_connected")
        assert (event.actor, event.detail["issuer"]) == (ada, sign_in.base)


def test_the_page_before_says_where_one_goes_and_what_is_asked_there(ada: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        page = client.post(f"/mcp-accounts/{server.pk}/connect/").content.decode()
        assert "127.0.0.1" in page
        assert "tickets:read" in page
        assert "code_verifier" not in page


def test_whoever_registered_once_is_known_the_next_time(ada: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        connect(client, server, sign_in)
        connect(client, server, sign_in)
        assert len(sign_in.clients) == 1
        assert McpAccount.objects.count() == McpClient.objects.count() == 1


def test_a_sign_in_that_reads_documents_gets_our_address_as_client_id(ada: User, settings: Any) -> None:
    settings.LOGOS_URL = "https://logos.example.org"
    with a_sign_in(metadata={"client_id_metadata_document_supported": True}) as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        assert "client_id=https%3A%2F%2Flogos.example.org%2Fmcp-accounts%2Fclient.json" in leave(client, server)
        assert not sign_in.clients

    document = Client().get("/mcp-accounts/client.json").json()
    assert document["client_id"] == "https://logos.example.org/mcp-accounts/client.json"
    assert document["redirect_uris"] == ["https://logos.example.org/mcp-accounts/callback/"]


@pytest.mark.parametrize("url", ["", "http://logos.example.org", "https://localhost", "https://10.0.0.1"])
def test_a_logos_nobody_outside_can_read_registers_instead(ada: User, settings: Any, url: str) -> None:
    settings.LOGOS_URL = url
    with a_sign_in(metadata={"client_id_metadata_document_supported": True}) as sign_in:
        leave(browser(ada), server_at(ada, sign_in))
        assert len(sign_in.clients) == 1


def test_a_client_id_that_was_given_is_used_with_its_secret(ada: User) -> None:
    changed = {"registration_endpoint": None, "token_endpoint_auth_methods_supported": ["client_secret_basic"]}
    with a_sign_in(metadata=changed) as sign_in:
        server = server_at(ada, sign_in, client_id="logos-of-ours")
        servers.put_secret(ada, server.pk, "OAUTH_CLIENT_SECRET", "a secret of the client")
        client = browser(ada)
        connect(client, server, sign_in)
        headers = next(headers for path, headers, _ in sign_in.requests if path == "/token")
        assert headers["Authorization"].startswith("Basic ")
        assert "a secret" not in json.dumps(McpClient.objects.values().get(), default=str)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metadata": {"code_challenge_methods_supported": None}}, "PKCE"),
        ({"metadata": {"code_challenge_methods_supported": ["plain"]}}, "PKCE"),
        ({"metadata": {"issuer": "https://evil.example"}}, "about another one"),
        ({"metadata": {"token_endpoint": None}}, "token endpoint"),
        ({"metadata": {"authorization_endpoint": "javascript:alert(1)"}}, "leads to"),
        ({"metadata": {"token_endpoint": "http://169.254.169.254/token"}}, "not on the open internet"),
        ({"metadata": {"registration_endpoint": None}}, "neither reads"),
        ({"metadata": {"response_types_supported": ["token"]}}, "with codes"),
        ({"resource": {"resource": "https://other.example/mcp"}}, "which it is not"),
        ({"resource": {"resource": None}}, "what its tokens are for"),
        ({"resource": {"authorization_servers": []}}, "which sign-in it trusts"),
        ({"resource": {"authorization_servers": ["http://169.254.169.254/"]}}, "not on the open internet"),
        ({"resource": {"authorization_servers": ["file:///etc/passwd"]}}, "leads to"),
        ({"refuses": {"/register": (403, {"error": "access_denied"})}}, "access_denied"),
        ({"refuses": {"/about/resource": (302, {})}}, "where it says it does"),
    ],
)
def test_sign_ins_that_are_not_gone_to(ada: User, options: dict[str, Any], words: str) -> None:
    with a_sign_in(**options) as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        page = client.post(f"/mcp-accounts/{server.pk}/connect/")
        assert page.status_code == 400
        assert words in unescape(page.content.decode())
        assert not McpAccount.objects.exists()


@pytest.mark.parametrize("options", [{"challenges": False}, {"challenges": False, "publishes_resource": False}])
def test_a_server_that_says_less_is_asked_where_others_publish(ada: User, options: dict[str, Any]) -> None:
    with a_sign_in(**options) as sign_in:
        assert connect(browser(ada), server_at(ada, sign_in), sign_in).is_connected


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"iss": "https://evil.example"}, "another sign-in"),
        ({"iss": ""}, "another sign-in"),
        ({"state": "guessed"}, "not an answer"),
        ({"state": ""}, "not an answer"),
        ({"code": ""}, "without a code"),
        ({"code": "stolen"}, "invalid_grant"),
        ({"error": "access_denied", "error_description": "<b>no</b>"}, "access_denied: <b>no</b>"),
    ],
)
def test_what_comes_back_wrong_connects_nothing(ada: User, changed: dict[str, str], words: str) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        answer = client.get(address_of(sign_in.allow(leave(client, server), **changed)))
        assert answer.status_code == 400
        assert words in unescape(answer.content.decode())
        assert "<b>no" not in answer.content.decode()
        assert not McpAccount.objects.exists()


def test_a_return_is_good_once_and_for_whoever_left(ada: User, olga: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        sharing.grant(ada, olga, "manage", server)
        returned = sign_in.allow(leave(client, server))
        again = sign_in.allow(leave(client, server))

        # Olga is led to Ada's way back, and Ada's other browser too.
        assert browser(olga).get(address_of(returned)).status_code == 400
        assert browser(ada).get(address_of(returned)).status_code == 400
        assert not sign_in.asked("/token")
        assert client.get(address_of(returned)).status_code == 302
        assert client.get(address_of(returned)).status_code == 400
        assert client.get(address_of(again)).status_code == 302


def test_a_return_that_comes_late_is_nothing(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        returned = sign_in.allow(leave(client, server))
        later = connecting.time.time() + connecting.LASTS_S + 1
        monkeypatch.setattr(connecting.time, "time", lambda: later)
        assert client.get(address_of(returned)).status_code == 400


def test_what_waits_in_a_session_is_little_and_sealed(ada: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        urls = [leave(client, server) for _ in range(7)]
        kept = client.session[connecting.KEY]
        assert len(kept) == connecting.MOST
        state = sign_in.allow(urls[-1])["state"]
        assert state not in json.dumps(kept)
        assert client.get(address_of(sign_in.allow(urls[0]))).status_code == 400
        assert client.get(address_of(sign_in.allow(urls[-1]))).status_code == 302


def test_each_person_has_their_own_and_sees_nobody_elses(ada: User, alice: User, bob: User) -> None:
    with a_sign_in() as sign_in:
        server = server_at(ada, sign_in, account="person")
        mine = connect(browser(alice), server, sign_in)
        assert mine.person == alice
        assert [each.account for each in accounts.places(bob)] == [None]
        assert "not connected" in browser(bob).get("/mcp-accounts/").content.decode()
        assert Program(bob).get("mcp-accounts")["items"][0]["connected"] is False
        with pytest.raises(NotFound):
            accounts.disconnect(bob, server.pk)
        found = Program(alice).get("mcp-accounts")["items"][0]
        assert (found["connected"], found["issuer"]) == (True, sign_in.base)


def test_an_account_for_everybody_is_connected_by_those_who_may_edit_the_server(ada: User, alice: User) -> None:
    with a_sign_in() as sign_in:
        server = server_at(ada, sign_in)
        client = browser(alice)
        assert client.post(f"/mcp-accounts/{server.pk}/connect/").status_code in (403, 404)
        assert client.post(f"/mcp-accounts/{server.pk}/disconnect/").status_code in (403, 404)
        assert "Connect tickets" not in client.get("/mcp-accounts/").content.decode()


def test_who_does_not_see_the_server_hears_nothing_of_it(ada: User, mallory: User) -> None:
    with a_sign_in() as sign_in:
        server = servers.create(
            ada, "old-archive", kind="http", url=f"{sign_in.base}/mcp", allows_private=True, account="person"
        )
        client = browser(mallory)
        assert client.post(f"/mcp-accounts/{server.pk}/connect/").status_code == 404
        assert "old-archive" not in client.get("/mcp-accounts/").content.decode()
        assert Program(mallory).get("mcp-accounts")["items"] == []
        assert not sign_in.requests


def test_disconnecting_forgets_the_tokens_and_tells_the_sign_in(ada: User, capsys: Any) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        connect(client, server, sign_in)
        call_command("mcp", "accounts", "--user", "ada")
        assert "connected" in capsys.readouterr().out

        call_command("mcp", "disconnect", "tickets", "--user", "ada")

        assert not McpAccount.objects.exists()
        assert sorted(each.split("-")[0] for each in sign_in.revoked) == ["access", "refresh"]
        assert SecurityEvent.objects.filter(kind="mcp_account_removed").exists()
        assert client.post(f"/mcp-accounts/{server.pk}/disconnect/").status_code == 404


def test_disconnecting_does_not_wait_for_a_sign_in_that_is_gone(ada: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        connect(client, server, sign_in)
    answer = client.post(f"/mcp-accounts/{server.pk}/disconnect/", follow=True)
    assert "could not be told" in answer.content.decode()
    assert not McpAccount.objects.exists()


def test_a_server_that_moved_meanwhile_gets_no_account(ada: User) -> None:
    with a_sign_in() as sign_in:
        server, client = server_at(ada, sign_in), browser(ada)
        returned = sign_in.allow(leave(client, server))
        servers.change(ada, server.pk, server.version, account="person")
        answer = client.get(address_of(returned))
        assert answer.status_code in (302, 400)
        assert McpAccount.objects.filter(person=None).count() == 0


@pytest.mark.parametrize("change", [{"account": "person"}, {"url": "http://localhost:9/mcp"}], ids=["whose", "where"])
def test_accounts_end_when_the_server_is_another_or_for_others(ada: User, change: dict[str, str]) -> None:
    with a_sign_in() as sign_in:
        server = server_at(ada, sign_in)
        connect(browser(ada), server, sign_in)
        servers.change(ada, server.pk, server.version, description="Kept.")
        assert McpAccount.objects.count() == 1
        server.refresh_from_db()
        servers.change(ada, server.pk, server.version, **change)
        assert not McpAccount.objects.exists()


def test_an_erased_person_leaves_no_account_and_an_archive_holds_no_token(ada: User, alice: User) -> None:
    with a_sign_in() as sign_in:
        server = server_at(ada, sign_in, account="person")
        connect(browser(alice), server, sign_in)
        (told,) = list(accounts.EXPORTED[3](alice))
        assert (told["server__name"], told["client__issuer"]) == ("tickets", sign_in.base)
        assert "token" not in json.dumps(told, default=str)
        accounts.erase(ada)
        assert McpAccount.objects.count() == 1
        accounts.erase(alice)
        assert not McpAccount.objects.exists()


def test_the_list_asks_the_database_as_often_for_ten_as_for_one(ada: User, django_assert_max_num_queries: Any) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(10) as counted:
            assert accounts.places(ada)
        return len(counted.captured_queries)

    def add(number: int) -> None:
        servers.create(ada, f"s{number}", kind="http", url="https://a.example.org/mcp", account="person")

    add(0)
    one = queries()
    for number in range(1, 10):
        add(number)
    assert queries() == one


def test_an_account_and_a_header_of_that_name_do_not_go_together(ada: User) -> None:
    with pytest.raises(LogosError) as refused:
        servers.create(
            ada,
            "odd",
            kind="http",
            url="https://a.example.org/mcp",
            account="shared",
            headers={"authorization": "${TOKEN}"},
        )
    assert refused.value.message.startswith("With an account")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": "a b", "token_type": "Bearer"},
        {"access_token": "a\r\nX: y", "token_type": "Bearer"},
        {"access_token": "ü", "token_type": "Bearer"},
        {"access_token": "a" * 16_001, "token_type": "Bearer"},
        {"access_token": "abc", "token_type": "mac"},
        {"access_token": "abc"},
        {"access_token": 7, "token_type": "Bearer"},
    ],
)
def test_answers_of_a_token_endpoint_that_are_none(said: dict[str, Any]) -> None:
    with pytest.raises(metadata.Unusable):
        metadata.tokens(said)


@pytest.mark.parametrize(
    ("lasts", "kept"),
    [(3600, 3600), ("3600", 3600), (True, None), (-1, None), ("soon", None), (1e300, None), (None, None)],
)
def test_when_a_token_ends(lasts: Any, kept: int | None) -> None:
    found = metadata.tokens({"access_token": "abc", "token_type": "bearer", "expires_in": lasts})
    assert found.expires_in == kept


@pytest.mark.parametrize(
    ("url", "named", "fine"),
    [
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://a.example/mcp", "https://a.example", True),
        ("https://a.example/mcp", "https://a.example/", True),
        ("https://a.example/mcp/one", "https://a.example/mcp", True),
        ("https://a.example/mcpx", "https://a.example/mcp", False),
        ("https://a.example/mcp", "https://a.example/mcp/one", False),
        ("https://a.example/mcp", "https://b.example/mcp", False),
        ("https://a.example/mcp", "http://a.example/mcp", False),
        ("https://a.example/mcp", "https://a.example:8443/mcp", False),
        ("https://a.example/mcp", "https://a.example:x/mcp", False),
    ],
)
def test_what_a_server_may_say_its_tokens_are_for(url: str, named: str, fine: bool) -> None:
    if fine:
        assert metadata.resource(url, {"resource": named}) == named
    else:
        with pytest.raises(metadata.Unusable):
            metadata.resource(url, {"resource": named})


def test_where_metadata_is_looked_for() -> None:
    assert metadata.sign_in_addresses("https://a.example/tenant") == [
        "https://a.example/.well-known/oauth-authorization-server/tenant",
        "https://a.example/.well-known/openid-configuration/tenant",
        "https://a.example/tenant/.well-known/openid-configuration",
    ]
    assert metadata.sign_in_addresses("https://a.example") == [
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    ]
    assert metadata.resource_addresses("https://a.example/mcp") == [
        "https://a.example/.well-known/oauth-protected-resource/mcp",
        "https://a.example/.well-known/oauth-protected-resource",
    ]


def test_many_servers_with_accounts_come_in_pages(ada: User, browser: Callable[..., Client]) -> None:
    for number in range(27):
        servers.create(ada, f"tickets-{number:02}", kind="http", url="https://t.example/mcp", account="shared")
    page, program = browser(ada), Program(ada)

    with CaptureQueriesContext(connection) as captured:
        first = page.get("/mcp-accounts/")
    second = page.get(f"/mcp-accounts/{first.context['page'].next}").content.decode()
    few = program.get("mcp-accounts?limit=20")
    rest = program.get(f"mcp-accounts?limit=20&after={few['next']}")

    text = first.content.decode()
    assert "tickets-24" in text
    assert "tickets-25" not in text
    assert ("tickets-24" in second, "tickets-25" in second, "tickets-26" in second) == (False, True, True)
    assert len({each["server"] for each in few["items"] + rest["items"]}) == 27
    assert rest["next"] is None
    assert "tickets-03" in page.get("/mcp-accounts/?text=s-03").content.decode()
    assert "Nothing fits these filters." in page.get("/mcp-accounts/?text=nothing-such").content.decode()
    for number in range(4):
        McpServer.objects.filter(name=f"tickets-{number:02}").delete()
    with CaptureQueriesContext(connection) as again:
        page.get("/mcp-accounts/")
    assert len(again) == len(captured)


@pytest.mark.parametrize(
    ("said", "kept"), [(1_900_000_000, 1_900_000_000), (10**20, 0), (-1, 0), (True, 0), ("soon", 0)]
)
async def test_an_end_of_a_registration_that_no_calendar_has_is_none(said: Any, kept: int) -> None:
    class Registering:
        async def post(self, url: str, **more: Any) -> Answer:
            return Answer(201, {}, {"client_id": "client-1", "client_secret_expires_at": said})

    found: Any = SimpleNamespace(auth_methods=("none",), registration_endpoint="https://x.example/r", issuer="x")
    asker: Any = Registering()
    assert (await finding.register(asker, found, "https://logos.example/back", "")).expires_at == kept
