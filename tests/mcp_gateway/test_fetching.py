"""Launchers that fetch: what they are told, when what they fetched is enough, and which hosts may be in our own network."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.errors import Invalid
from mcp_gateway import boxes, fetching
from mcp_gateway.remote.places import OWN_NETWORK
from sandboxes.egress import addresses
from sandboxes.egress.addresses import NotPublic

PINNED = ("uvx", ["mcp-server-time==1.2"], {})


def test_what_was_fetched_of_a_named_version_is_used_until_the_launch_is_another(tmp_path: Path) -> None:
    first = fetching.prepared(tmp_path, *PINNED)
    assert "UV_OFFLINE" not in first.told
    assert first.fails() == ""  # nothing was known of it that could be forgotten
    fetching.prepared(tmp_path, *PINNED).works()

    assert fetching.prepared(tmp_path, *PINNED).told["UV_OFFLINE"] == "1"
    for command, args, env in (
        ("uvx", ["mcp-server-time==1.3"], {}),
        ("uvx", ["mcp-server-time==1.2", "--local-timezone"], {}),
        ("uvx", ["mcp-server-time==1.2"], {"UV_DEFAULT_INDEX": "https://pypi.example.org/simple"}),
    ):
        assert "UV_OFFLINE" not in fetching.prepared(tmp_path, command, args, env).told


def test_what_fails_twice_without_an_answer_is_fetched_again(tmp_path: Path) -> None:
    fetching.prepared(tmp_path, *PINNED).works()

    assert fetching.prepared(tmp_path, *PINNED).fails() == ""
    again = fetching.prepared(tmp_path, *PINNED)
    assert again.told["UV_OFFLINE"] == "1"
    again.works()
    assert again.fails() == ""  # it had answered: how it ends says nothing of what was fetched
    assert fetching.prepared(tmp_path, *PINNED).fails() == ""
    assert "fetch again" in fetching.prepared(tmp_path, *PINNED).fails()
    assert "UV_OFFLINE" not in fetching.prepared(tmp_path, *PINNED).told


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("uvx", ["mcp-server-time"]),
        ("uvx", ["mcp-server-time>=1"]),
        ("uv", ["run", "server.py"]),
        ("python3", ["server.py"]),
    ],
)
def test_what_names_no_version_may_fetch_at_each_start(tmp_path: Path, command: str, args: list[str]) -> None:
    fetching.prepared(tmp_path, command, args, {}).works()

    assert fetching.prepared(tmp_path, command, args, {}).told == {}


def test_npx_looks_at_what_it_has_first_where_a_version_is_named_and_asks_for_nothing_else(tmp_path: Path) -> None:
    fixed = fetching.prepared(tmp_path, "/usr/bin/npx", ["-y", "server@1.2.3"], {}).told
    loose = fetching.prepared(tmp_path, "npx", ["-y", "server"], {}).told

    assert (fixed["npm_config_prefer_offline"], fixed["npm_config_update_notifier"]) == ("true", "false")
    assert "npm_config_prefer_offline" not in loose
    said = fetching.prepared(tmp_path, "npx", ["server@1.2.3"], {"NPM_CONFIG_PREFER_OFFLINE": "false"}).told
    assert "npm_config_prefer_offline" not in said


def test_a_host_of_our_own_network_is_named_whole_and_said_to_be_one() -> None:
    given = ["private:NPM.internal:4873", "private:registry", "api.example.org", "private:registry:443"]

    hosts = boxes.clean_hosts(given)

    assert hosts == ["private:npm.internal:4873", "private:registry", "api.example.org"]
    assert boxes.clean_hosts(hosts) == hosts
    places, reach = boxes.places(hosts), boxes.reach(hosts)
    for host, port, is_own in (
        ("npm.internal", 4873, True),
        ("registry", 443, True),
        ("npm.internal", 443, False),
        ("api.example.org", 443, False),
    ):
        permits = places(host, port)
        assert (permits is not None and permits("10.0.0.7")) == is_own, host
    assert places("api.example.org", 443) is None
    assert reach.decide("npm.internal", 4873, "").allowed
    assert not reach.decide("npm.internal", 443, "").allowed
    for wrong in (
        "private:*.internal",
        "private:",
        "private:10.0.0.1",
        "private:a:0",
        "private:private:a",
        "Private:a",
    ):
        with pytest.raises(Invalid) as refused:
            boxes.clean_hosts([wrong])
        assert refused.value.field == "hosts"


async def test_a_name_leads_into_our_network_only_where_somebody_said_so() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        led = {"metadata": "169.254.169.254", "self": "127.0.0.1", "mapped": "::ffff:127.0.0.1", "six": "::1"}
        return [led.get(host.partition(".")[0], "10.0.0.7")]

    others = [f"{name}.internal" for name in ("metadata", "self", "mapped", "six")]
    permits = boxes.places(["private:npm.internal", *(f"private:{each}" for each in others)])

    assert await addresses.resolve("npm.internal", 443, lookup, permits("npm.internal", 443)) == ["10.0.0.7"]
    for host in ("npm.internal", "api.example.org"):
        with pytest.raises(NotPublic):
            await addresses.resolve(host, 443, lookup, permits(host, 8443))
    for host in others:  # of the link, and of this machine, where Logos listens: whoever allows what
        with pytest.raises(NotPublic):
            await addresses.resolve(host, 443, lookup, permits(host, 443))


@pytest.mark.parametrize(
    ("host", "port", "found", "said"),
    [
        (
            "npm.example.org",
            443,
            ["10.0.0.7"],
            "If it is yours, write private:npm.example.org among the server's hosts.",
        ),
        ("npm.example.org", 4873, ["192.168.1.2", "fd00::7"], "write private:npm.example.org:4873 among"),
        ("npm.example.org", 443, ["203.0.113.80"], "leads to 203.0.113.80, which is not on the open internet."),
        ("npm.example.org", 443, ["10.0.0.7", "169.254.169.254"], "to 10.0.0.7, which is not on the open internet."),
        ("own.example.org", 443, ["10.0.0.7", "203.0.113.80"], "leads to 203.0.113.80, which is neither on the open"),
    ],
)
async def test_a_refused_name_says_what_would_let_it_in_and_not_what_was_said_already(
    host: str, port: int, found: list[str], said: str
) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return found

    hosts = ["npm.example.org", "npm.example.org:4873", "private:own.example.org"]
    permits, refusal = boxes.places(hosts)(host, port), boxes.refusals(hosts)

    with pytest.raises(NotPublic) as refused:
        await addresses.resolve(host, port, lookup, permits, refusal)

    assert said in str(refused.value)
    assert ("write private:" in str(refused.value)) == ("write private:" in said)


def test_the_docs_name_what_our_own_network_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()

    assert all(f"`{network}`" in text for network in OWN_NETWORK.split(", "))
