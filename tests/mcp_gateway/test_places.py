"""Where MCP servers elsewhere may be, who may say so, and what stands in their addresses and headers."""

from __future__ import annotations

import pytest

from agents import sharing
from agents.errors import Invalid, LogosError
from agents.models import Role, User, Visibility
from mcp_gateway import reading, servers
from mcp_gateway.models import McpServer
from mcp_gateway.remote import places, writing
from mcp_gateway.remote.peer import RemoteLaunch, RemotePeer
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console

URL = "https://tools.example.org/mcp"


@pytest.fixture
def olga(db: None) -> User:
    return person("olga", Role.OPERATOR)


@pytest.fixture
def far(ada: User) -> McpServer:
    return servers.create(ada, "far", kind="http", url=URL, visibility=Visibility.SHARED)


@pytest.mark.parametrize(
    ("address", "public", "own"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1:248:1893:25c8:1946", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.0.10", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fd12::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:127.0.0.1", False, True),
        # Never, whoever allows what: the credentials of the machine are given away there.
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("fe80::1%eth0", False, False),
        ("100.100.100.200", False, False),
        ("fd00:ec2::254", False, False),
        ("192.0.0.192", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("64:ff9b::7f00:1", False, False),
        ("2002:7f00:1::", False, False),
        ("not an address", False, False),
    ],
)
def test_which_addresses_are_permitted(address: str, public: bool, own: bool) -> None:
    assert (places.permitted(address, False), places.permitted(address, True)) == (public, own)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (URL, URL),
        (" HTTPS://Tools.Example.org:443/mcp ", URL),
        ("https://tools.example.org", "https://tools.example.org/"),
        ("https://tools.example.org:8443/a?b=c", "https://tools.example.org:8443/a?b=c"),
        ("https://93.184.216.34/mcp", "https://93.184.216.34/mcp"),
        ("https://[2606:2800:220:1:248:1893:25c8:1946]/mcp", "https://[2606:2800:220:1:248:1893:25c8:1946]/mcp"),
    ],
)
def test_an_address_has_one_spelling(text: str, cleaned: str) -> None:
    assert places.clean_url(text, False) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "http://tools.example.org/mcp",
        "ftp://tools.example.org/mcp",
        "file:///etc/passwd",
        "https://localhost/mcp",
        "https://tools/mcp",
        "https://printer.local/mcp",
        "https://metadata.google.internal/",
        "https://127.0.0.1/mcp",
        "https://127.1/mcp",
        "https://2130706433/mcp",
        "https://0x7f000001/mcp",
        "https://0177.0.0.1/mcp",
        "https://[::1]/mcp",
        "https://[::ffff:10.0.0.1]/mcp",
        "https://10.0.0.1/mcp",
        "https://169.254.169.254/latest/meta-data",
        "https://user:word@tools.example.org/mcp",
        "https://tools.example.org@evil.example/mcp",
        "https://tools.example.org\\@evil.example/mcp",
        "https://tools.example.org/mcp#part",
        "https://tools.example.org/mcp?api_key=abcdefgh",
        "https://tools.example.org/mcp?token=x",
        "https://tools.example.org/${TOKEN}",
        "https://tools.example.org/ghp_abcdefghij0123456789",
        "https://tools.example.org:0/mcp",
        "https://tools.example.org:99999/mcp",
        "https://tоols.example.org/mcp",
        "https://" + "a" * 500 + ".org",
        "tools.example.org/mcp",
        "",
        "https://",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        places.clean_url(text, False)
    assert refused.value.field == "url"
    assert "ghp_" not in refused.value.message


@pytest.mark.parametrize("text", ["http://localhost:8080/mcp", "http://tools:8000/mcp", "https://10.0.0.1/mcp"])
def test_an_admin_may_allow_ones_own_network(text: str) -> None:
    assert places.clean_url(text, True) == text


@pytest.mark.parametrize("text", ["http://93.184.216.34/mcp", "http://[2606:2800:220:1:248:1893:25c8:1946]/mcp"])
def test_nobody_may_allow_the_open_internet_without_https(text: str) -> None:
    with pytest.raises(Invalid, match="Without https"):
        places.clean_url(text, True)


@pytest.mark.parametrize(
    ("address", "plain"), [("93.184.216.34", False), ("10.1.2.3", True), ("::ffff:10.0.0.1", True), ("::1", True)]
)
def test_without_https_only_ones_own_network_is_permitted(address: str, plain: bool) -> None:
    assert places.permitted(address, True, plain=True) == plain
    assert places.permitted(address, True)
    assert not places.permitted(address, False, plain=True)


async def test_a_name_asked_without_https_is_not_followed_to_the_open_internet() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return ["10.0.0.1", "93.184.216.34"]

    launch = RemoteLaunch("http://tools.example.org/mcp", allows_private=True, lookup=lookup)
    peer = RemotePeer(launch, lambda message: None, lambda peer, message: None)
    with pytest.raises(Exception, match=r"leads to 93\.184\.216\.34, where this server may not be without https"):
        await peer.ask("tools/list", {}).answer
    assert not peer.may_come_back
    await peer.stop()


@pytest.mark.parametrize("text", ["http://169.254.169.254/", "https://[fe80::1]/", "http://0.0.0.0/"])
def test_nobody_may_allow_addresses_of_the_link(text: str) -> None:
    with pytest.raises(Invalid):
        places.clean_url(text, True)


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:169.254.169.254"], []],
    ids=["own", "one of two", "disguised", "none"],
)
async def test_a_name_that_leads_into_our_network_is_not_connected_to(found: list[str]) -> None:
    looked: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        looked.append(host)
        return found

    peer = RemotePeer(RemoteLaunch(URL, lookup=lookup), lambda message: None, lambda peer, message: None)
    call = peer.ask("tools/list", {})
    with pytest.raises(Exception, match="cannot be reached"):
        await call.answer
    assert looked == ["tools.example.org."]
    assert peer.ended.is_set()
    await peer.stop()


async def test_an_address_that_was_written_down_otherwise_is_looked_at_again() -> None:
    """A row that no rule of today has seen, as after an upgrade."""
    peer = RemotePeer(RemoteLaunch("http://127.0.0.1:9/mcp"), lambda message: None, lambda peer, message: None)
    with pytest.raises(Exception, match="where this server may not be"):
        await peer.ask("tools/list", {}).answer
    assert not peer.may_come_back
    await peer.stop()


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Authorization": "Bearer abcdefgh"}, "secret_in_headers"),
        ({"X-Api-Key": "abc"}, "secret_in_headers"),
        ({"X-Team": "ghp_abcdefghij0123456789"}, "secret_in_headers"),
        ({"Host": "evil"}, "reserved_name"),
        ({"Mcp-Session-Id": "1"}, "reserved_name"),
        ({"Transfer-Encoding": "chunked"}, "reserved_name"),
        ({"X-A": "a\r\nX-B: b"}, "invalid"),
        ({"X A": "a"}, "invalid"),
        ({"": "a"}, "invalid"),
        ({"X-A": "ü"}, "invalid"),
        ({"X-A": 1}, "invalid"),
        ({"X-A": "1", "x-a": "2"}, "invalid"),
        ({f"X-{n}": "" for n in range(31)}, "invalid"),
        (["X-A"], "invalid"),
    ],
)
def test_headers_that_are_refused(headers: object, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        writing.clean_headers(headers)
    assert (refused.value.field, refused.value.reason) == ("headers", reason)
    assert "ghp_" not in refused.value.message


def test_secrets_are_put_into_headers_when_it_starts(ada: User, far: McpServer) -> None:
    headers = {"Authorization": "Bearer ${TOKEN}", "X-Team": "blue"}
    servers.change(ada, far.pk, far.version, headers=headers)
    assert "It names the secret TOKEN, which is not set." in servers.warnings(servers.rows().get(pk=far.pk))
    with pytest.raises(Invalid, match="not set"):
        reading.launch(far.pk)

    servers.put_secret(ada, far.pk, "TOKEN", "long enough to be one")

    launch = reading.launch(far.pk)
    assert isinstance(launch, RemoteLaunch)
    assert launch.headers == {"Authorization": "Bearer long enough to be one", "X-Team": "blue"}
    assert "long enough" not in repr(launch)
    servers.put_secret(ada, far.pk, "TOKEN", "two lines\nare too many")
    with pytest.raises(Invalid, match="no header can hold"):
        reading.launch(far.pk)


def test_operators_add_servers_on_the_open_internet_and_admins_those_of_our_network(ada: User, olga: User) -> None:
    assert servers.create(olga, "far", kind="http", url=URL).owner == olga
    for fields in ({"url": "http://localhost/mcp", "allows_private": True}, {"url": "http://localhost/mcp"}):
        with pytest.raises(LogosError):
            servers.create(olga, "near", kind="http", **fields)
    assert servers.create(ada, "near", kind="http", url="http://localhost/mcp", allows_private=True).allows_private


@pytest.mark.parametrize("change", [{"allows_private": True}, {"kind": "stdio", "command": "sh", "url": ""}])
def test_an_operator_turns_no_server_elsewhere_into_one_at_home(ada: User, olga: User, far: McpServer, change) -> None:
    sharing.grant(ada, olga, "manage", far)
    with pytest.raises(LogosError) as refused:
        servers.change(olga, far.pk, far.version, **change)
    assert refused.value.reason == "forbidden"


def test_a_secret_goes_where_an_admin_sent_it(ada: User, olga: User, far: McpServer) -> None:
    sharing.grant(ada, olga, "edit", far)
    servers.change(olga, far.pk, far.version, url="https://other.example.org/mcp")
    servers.put_secret(ada, far.pk, "TOKEN", "long enough to be one")
    far.refresh_from_db()

    for change in ({"url": "https://evil.example.org/mcp"}, {"headers": {"X-Token": "${TOKEN}"}}):
        with pytest.raises(LogosError) as refused:
            servers.change(olga, far.pk, far.version, **change)
        assert refused.value.reason == "forbidden"
    assert servers.change(ada, far.pk, far.version, url="https://new.example.org/mcp").url.startswith("https://new")


def test_who_takes_back_that_it_may_be_at_home_must_say_where_it_is_then(ada: User) -> None:
    near = servers.create(ada, "near", kind="http", url="http://localhost/mcp", allows_private=True)
    with pytest.raises(Invalid):
        servers.change(ada, near.pk, near.version, allows_private=False)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "http"}, "url"),
        ({"kind": "http", "url": URL, "command": "sh"}, "command"),
        ({"kind": "http", "url": URL, "args": ["a"]}, "args"),
        ({"kind": "stdio"}, "command"),
        ({"kind": "stdio", "command": "sh", "url": URL}, "url"),
        ({"kind": "ftp", "url": URL}, "kind"),
    ],
)
def test_a_server_is_a_program_or_elsewhere_not_both(ada: User, fields: dict, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        servers.create(ada, "odd", **fields)
    assert refused.value.field == field
    assert not McpServer.objects.exists()


def test_the_api_adds_shows_and_changes_one(ada: User) -> None:
    program = Program(ada)
    made = program.post("mcp-servers", {"name": "far", "kind": "http", "url": URL, "headers": {"X-Team": "blue"}}, 201)
    assert (made["kind"], made["url"], made["headers"], made["command"]) == ("http", URL, {"X-Team": "blue"}, "")

    body = {"version": made["version"], "url": "https://169.254.169.254/"}
    refused = program("PATCH", f"mcp-servers/{made['id']}", body)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (400, "private_address")


def test_the_console_refuses_what_the_other_doors_refuse(ada: User, far: McpServer) -> None:
    for fields, words in (
        ({"url": "https://10.0.0.1/mcp"}, "not on the open internet"),
        ({"command": "sh"}, "not started here"),
        ({"headers": '{"X-Api-Key": "abcdefgh"}'}, "holds a secret"),
    ):
        answer = Console(ada).save(far, **fields)
        assert answer.status_code == 200
        assert words in answer.content.decode()
    assert Console(ada).save(far, url="https://new.example.org/mcp").status_code == 302
