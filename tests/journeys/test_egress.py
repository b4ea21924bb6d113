"""An agent asks the network: what its rules allow arrives, the rest is refused, and all of it is on record."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.journeys.house import House, a_house, until
from tests.journeys.sound import assert_sound
from tests.rules import rules

pytestmark = pytest.mark.runtime

CURL = "curl -sS -m 10 -o /dev/stdout -w ' %{http_code}' "


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

    run = house.ask("".join(f"run: {each}\n" for each in asks) + "then run: wget -T 5 -qO- http://allowed.example/")

    story = assert_sound(run)
    results = "".join(event.data["result"] for event in story if event.kind == "tool.result")
    assert "hello from allowed.example 200" in results
    assert "No rule names denied.example." in results
    told = {
        (event.data["host"], event.data["binary"], event.data["decision"]) for event in story if event.kind == "egress"
    }
    assert {("allowed.example", "/usr/bin/curl", "allowed"), ("denied.example", "/usr/bin/curl", "denied")} <= told
    until(lambda: EgressDecision.objects.filter(allowed=True).exclude(duration_ms=None).exists(), "the rows are there")
    row = EgressDecision.objects.get(host="allowed.example", allowed=True)
    assert (row.run_id, row.agent_id, row.port, row.method) == (run.pk, house.agent_id, 80, "GET")
    assert (row.rule, len(row.sha256), row.received > 20) == (f"{policy}/allowed.example", 64, True)
    assert not EgressDecision.objects.filter(host="allowed.example", allowed=True).exclude(binary="/usr/bin/curl")

    # An edit bites at once: no restart, and the same sandbox.
    before = house.api("GET", f"/policies/{policy}")
    house.api(
        "PATCH", f"/policies/{policy}", json={"version": before["version"], "rules": rules("denied.example : 80")}
    )
    again = house.ask("".join(f"run: {each}\n" for each in asks), talk=run.conversation_id)
    results = "".join(event.data["result"] for event in assert_sound(again) if event.kind == "tool.result")
    assert "hello from denied.example 200" in results
    assert "No rule names allowed.example." in results
    assert again.agent.sandbox.starts == 1
