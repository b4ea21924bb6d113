"""An agent asks the network: what its rules allow arrives, the rest is refused, and all of it is on record."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.journeys.house import House, a_house, until
from tests.journeys.sound import assert_sound
from tests.rules import rules

pytestmark = pytest.mark.runtime

# On a machine that has much else to do a sandbox may take half a minute to start and a program seconds to be told.
CURL = "curl -sS -m 60 -o /dev/stdout -w ' %{http_code}' "
PATIENCE_S = 180.0


class Hello(http.server.BaseHTTPRequestHandler):
    """The internet, as far as this test goes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello from {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def internet() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def house(internet: int, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    with django_db_blocker.unblock(), a_house() as house:
        house.command = ("-m", "tests.journeys.pinned", str(internet))
        house.start()
        yield house


def allow(house: House, *lines: str) -> str:
    policy = house.api("POST", "/policies", json={"name": f"web {time.time()}", "rules": rules(*lines)})
    agent = house.api("GET", f"/agents/{house.agent_id}")
    body = {"version": agent["version"], "policy_ids": [policy["id"]]}
    house.api("PATCH", f"/agents/{house.agent_id}", json=body)
    return str(policy["id"])


def test_what_is_allowed_arrives_and_the_rest_is_refused_and_recorded(house: House) -> None:
    from sandboxes.models import EgressDecision

    policy = allow(house, "allowed.example : 80 by /usr/bin/curl")
    asks = [f"{CURL} http://{name}.example/" for name in ("allowed", "denied")]

    wget = "then run: wget -t 1 -T 60 -qO- http://allowed.example/"
    run = house.ask("".join(f"run: {each}\n" for each in asks) + wget, PATIENCE_S)

    story = assert_sound(run)
    results = "".join(event.data["result"] for event in story if event.kind == "tool.result")
    assert "hello from allowed.example 200" in results
    assert "No rule names denied.example." in results
    told = {
        (event.data["host"], event.data["binary"], event.data["decision"]) for event in story if event.kind == "egress"
    }
    assert {("allowed.example", "/usr/bin/curl", "allowed"), ("denied.example", "/usr/bin/curl", "denied")} <= told
    over = EgressDecision.objects.filter(host="allowed.example", allowed=True).exclude(duration_ms=None)
    until(over.exists, "the row is there, and complete", PATIENCE_S)
    row = EgressDecision.objects.get(host="allowed.example", allowed=True)
    assert (row.run_id, row.agent_id, row.port, row.method) == (run.pk, house.agent_id, 80, "GET")
    assert (row.rule, len(row.sha256), row.received > 20) == (f"{policy}/allowed.example", 64, True)
    assert not EgressDecision.objects.filter(host="allowed.example", allowed=True).exclude(binary="/usr/bin/curl")

    # An edit bites at once: no restart, and the same sandbox.
    before = house.api("GET", f"/policies/{policy}")
    house.api(
        "PATCH", f"/policies/{policy}", json={"version": before["version"], "rules": rules("denied.example : 80")}
    )
    again = house.ask("".join(f"run: {each}\n" for each in asks), PATIENCE_S, talk=run.conversation_id)
    results = "".join(event.data["result"] for event in assert_sound(again) if event.kind == "tool.result")
    assert "hello from denied.example 200" in results
    assert "No rule names allowed.example." in results
    assert again.agent.sandbox.starts == 1


def test_an_agent_learns_what_it_needs_and_the_rules_that_are_proposed_are_enough(house: House) -> None:
    policy = allow(house, "deny bad.example")
    new, bad, inside = (f"{CURL} http://{name}/" for name in ("new.example", "bad.example", "localhost"))
    house.api("POST", f"/agents/{house.agent_id}/learning", json={"policy_id": policy, "minutes": 30})

    run = house.ask(f"run: {new}\nrun: {bad}\nthen run: {inside}", PATIENCE_S)

    story = assert_sound(run)
    results = "".join(event.data["result"] for event in story if event.kind == "tool.result")
    assert "hello from new.example 200" in results
    assert "hello from bad.example" not in results
    assert "hello from localhost" not in results
    assert next(event.data["text"] for event in story if event.kind == "note").startswith("The agent learns")
    assert {
        event.data["rule"] for event in story if event.kind == "egress" and event.data["host"] == "new.example"
    } == {"learning"}
    house.api("DELETE", f"/agents/{house.agent_id}/learning")

    def proposed() -> Any:
        return (found := house.api("GET", f"/agents/{house.agent_id}/proposal"))["rules"] and found

    found = until(proposed, "the connection is recorded, and a rule proposed", PATIENCE_S)
    (rule,) = found["rules"]
    assert (rule["hosts"], rule["ports"], rule["binaries"]) == (["new.example"], [80], ["/usr/bin/curl"])
    held = house.api("GET", f"/policies/{policy}")["rules"]
    house.api("PATCH", f"/policies/{policy}", json={"version": found["policy_version"], "rules": [*held, rule]})
    other = f"{CURL} http://other.example/"
    again = house.ask(f"run: {new}\nthen run: {other}", PATIENCE_S, talk=run.conversation_id)
    results = "".join(event.data["result"] for event in assert_sound(again) if event.kind == "tool.result")
    assert "hello from new.example 200" in results
    assert "No rule names other.example." in results


def test_a_preset_bites_at_once_in_a_running_sandbox(house: House) -> None:
    house.api("POST", "/presets", json={"id": "ours", "name": "Ours", "rules": rules("first.example : 80")})
    policy = allow(house)
    house.api("PATCH", f"/policies/{policy}", json={"version": 1, "preset_ids": ["ours"]})
    asks = "".join(f"run: {CURL} http://{name}.example/\n" for name in ("first", "second"))

    run = house.ask(asks, PATIENCE_S)
    house.api("PATCH", "/presets/ours", json={"version": 1, "rules": rules("second.example : 80")})
    again = house.ask(asks, PATIENCE_S, talk=run.conversation_id)

    for each, through, refused in ((run, "first", "second"), (again, "second", "first")):
        story = assert_sound(each)
        results = "".join(event.data["result"] for event in story if event.kind == "tool.result")
        assert f"hello from {through}.example 200" in results
        assert f"No rule names {refused}.example." in results
        assert f"{policy}+ours/{through}.example" in {e.data["rule"] for e in story if e.kind == "egress"}
    assert again.agent.sandbox.starts == 1
