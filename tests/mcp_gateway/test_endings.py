"""Why a server's program ended: the cause where it is known, and what to do about it."""

from __future__ import annotations

import pytest

from mcp_gateway import endings
from mcp_gateway.boxed import BoxedChild
from sandboxes.egress.proxy import Decision

LOG = "/workspace/.npm/_logs/2026-11-22T08_41_07_101Z-debug-0.log"
CLOSING = f"npm error A complete log of this run can be found in: {LOG}"
ADVICE = "npm error network If you are behind a proxy, please make sure that the 'proxy' config is set properly."
LEADS = "registry.npmjs.org leads to 10.0.0.7, which is not on the open internet."
REFUSED = f"[Logos] registry.npmjs.org:443 refused. {LEADS}"
ABSENT = "uvx: [Errno 2] No such file or directory: b'/bin/uvx'"


@pytest.mark.parametrize(
    ("errors", "refused", "said"),
    [
        ([], "", "It ended with status 1."),
        (["a", "KeyError: 'KEY'", " "], "", "It ended with status 1. Its last line: KeyError: 'KEY'"),
        (["npm error 404 no such package", CLOSING], "", "Its last line: npm error 404 no such package"),
        (
            ["npm ERR! 404", "npm ERR! A complete log of this run can be found in:", f"npm ERR!     {LOG}"],
            "",
            "It ended with status 1. Its last line: npm ERR! 404",
        ),
        ([CLOSING], "", "It ended with status 1."),
        ([REFUSED, ADVICE, CLOSING], REFUSED, f"It ended with status 1. {REFUSED}"),
        ([REFUSED], REFUSED, f"It ended with status 1. {REFUSED}"),
        ([REFUSED, "KeyError: 'KEY'"], REFUSED, f"{REFUSED} Its last line: KeyError: 'KEY'"),
    ],
)
def test_the_cause_is_said_instead_of_where_a_launcher_wrote_more(errors: list[str], refused: str, said: str) -> None:
    found = endings.sentence(1, errors, refused=refused)

    assert found.startswith("It ended with status 1.")
    assert found.endswith(said)


@pytest.mark.parametrize(
    ("status", "last", "command", "said"),
    [
        (127, ABSENT, "uvx", "with PATH in its environment"),
        (127, "/srv/a/uvx: [Errno 2] No such file or directory: '/srv/a/uvx'", "/srv/a/uvx", "the folder where it is."),
        (127, "uvx: [Errno 2] No such file or directory: '/workspace/none'", "uvx", ""),
        (127, "sh: 1: other: not found", "sh", ""),
        (1, ABSENT, "uvx", ""),
    ],
)
def test_a_launcher_that_its_sandbox_has_not_is_said_to_be_missing(
    status: int, last: str, command: str, said: str
) -> None:
    found = endings.not_there(status, ["before", last], command)

    assert (said in found, bool(found)) == (True, bool(said))
    assert not found or "Install it below /usr, or show it the folder" in found


async def test_what_was_refused_is_the_cause_until_the_server_has_answered() -> None:
    child = BoxedChild(lambda message: None, lambda peer, message: None)
    child.exit_code = 1
    child._decided(Decision("conn_1", "registry.npmjs.org", 443, "", False, "", LEADS))
    child._decided(Decision("conn_2", "api.example.org", 443, "", True, "api.example.org", "It may."))
    child.hear_errors(f"{ADVICE}\n{CLOSING}\n".encode())
    before = child.ending()

    child._answered(1, {"jsonrpc": "2.0", "id": 1, "result": {}})

    assert before == f"It ended with status 1. {REFUSED}"
    assert child.ending() == f"It ended with status 1. Its last line: {ADVICE}"
