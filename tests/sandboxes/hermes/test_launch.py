"""The launcher, run as it runs inside, with stand-ins for the runtime's own modules."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandboxes.hermes.spec import LAUNCHER

MAIN = """
import asyncio, concurrent.futures, contextvars, json, os, sys, threading
import httpx
from tools import approval

sent = []
def answer(request):
    sent.append(request.headers.get("X-Logos-Run"))
    return httpx.Response(200)

def call(url="http://inference.logos.internal:8081/lane/1/v1"):
    httpx.Client(transport=httpx.MockTransport(answer)).get(url)

async def call_async():
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await client.get("http://inference.logos.internal:8081/")

call()
approval._approval_session_key.set("run_abc")
call()
call("http://elsewhere.example/")
asyncio.run(call_async())
thread = threading.Thread(target=call); thread.start(); thread.join()
with concurrent.futures.ThreadPoolExecutor() as pool:
    pool.submit(call).result()
    width = pool._max_workers
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    asked = pool._max_workers

from aiohttp import web
async def answer_question(body):
    async def handler(request):
        said = await request.json()
        from tools.approval import resolve_gateway_approval
        return web.json_response(resolve_gateway_approval("key", said["choice"], resolve_all=False))
    from aiohttp.test_utils import TestClient, TestServer
    app = web.Application()
    app.router.add_post("/v1/runs/r/approval", handler)
    app.router.add_post("/v1/runs", handler)
    async with TestClient(TestServer(app)) as client:
        return [await (await client.post(path, json=body)).json() for path in ("/v1/runs/r/approval", "/v1/runs")]
answers = [asyncio.run(answer_question(body)) for body in (
    {"choice": "deny", "reason": "No."}, {"choice": "deny"}, {"choice": "once", "reason": 7})]

import ctypes, subprocess
def child(**options):
    return subprocess.run(["env"], capture_output=True, text=True, **options).stdout

print(json.dumps({
    "answers": answers, "argv": sys.argv, "name": __name__, "key": os.environ.get("API_SERVER_KEY"),
    "commands_own": os.environ.get("GITHUB_TOKEN"), "sent": sent, "width": width,
    "asked": asked, "dumpable": ctypes.CDLL(None).prctl(3), "stdin": os.readlink("/proc/self/fd/0"),
    "children": [child(), child(env=dict(os.environ)), child(env={"API_SERVER_KEY": "x", "OTHER": "kept"})],
    "in_block": "hidden-key" in open("/proc/self/environ").read() if os.geteuid() == 0 else False,
}))
"""
APPROVAL = """
import contextvars
_approval_session_key = contextvars.ContextVar("key", default="")
def resolve_gateway_approval(session_key, choice, resolve_all=False, reason=None):
    return [choice, reason]
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    for name, text in {"hermes_cli/__init__.py": "", "hermes_cli/main.py": MAIN, "tools/__init__.py": "",
                       "tools/approval.py": APPROVAL}.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "gateway-starts.log").write_text("1\n2\n3\n")
    return tmp_path


SECRETS = {"runtime": {"API_SERVER_KEY": "hidden-key"}, "commands": {"GITHUB_TOKEN": "for-commands"}}


def launch(folder: Path, line: bytes = json.dumps(SECRETS).encode() + b"\n") -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONPATH": str(folder), "HERMES_HOME": str(folder), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-B", str(LAUNCHER), "gateway", "run"]
    return subprocess.run(command, input=line, capture_output=True, env=environment, timeout=240, check=False)


@pytest.fixture
def report(stand_in: Path) -> dict[str, Any]:
    done = launch(stand_in)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def test_the_runtime_starts_as_its_own_program_with_our_arguments(report: dict[str, Any]) -> None:
    assert report["name"] == "__main__"
    assert report["argv"][1:] == ["gateway", "run"]


def test_the_secret_arrives_but_is_in_no_environment_block(report: dict[str, Any]) -> None:
    assert report["key"] == "hidden-key"
    assert report["in_block"] is False
    assert report["stdin"] == "/dev/null"


def test_no_child_process_inherits_the_secret(report: dict[str, Any]) -> None:
    inherited, copied, chosen = report["children"]

    assert "HERMES_HOME=" in inherited
    assert "HERMES_HOME=" in copied
    assert "API_SERVER_KEY" not in inherited + copied
    assert chosen == "OTHER=kept\nGITHUB_TOKEN=for-commands\n"


def test_what_is_for_commands_reaches_every_child_and_is_not_the_runtimes_own(report: dict[str, Any]) -> None:
    assert all("GITHUB_TOKEN=for-commands" in child for child in report["children"])
    assert report["commands_own"] is None


def test_the_process_is_closed_to_others_of_its_user(report: dict[str, Any]) -> None:
    assert ctypes.CDLL(None).prctl(3) == 1  # ours is not, so that the next line says something
    assert report["dumpable"] == 0


def test_every_model_call_of_a_run_carries_its_id_from_threads_and_pools_too(report: dict[str, Any]) -> None:
    before, direct, elsewhere, from_async, from_thread, from_pool = report["sent"]

    assert before is None
    assert elsewhere is None
    assert [direct, from_async, from_thread, from_pool] == ["run_abc"] * 4


def test_the_reason_of_a_denial_reaches_the_runtime_and_no_other_request_has_one(report: dict[str, Any]) -> None:
    assert report["answers"] == [
        [["deny", "No."], ["deny", None]],
        [["deny", None], ["deny", None]],
        [["once", None], ["once", None]],
    ]


def test_pools_without_a_width_are_wide_and_others_keep_theirs(report: dict[str, Any]) -> None:
    assert (report["width"], report["asked"]) == (64, 3)


def test_earlier_starts_are_forgotten(stand_in: Path) -> None:
    launch(stand_in)

    assert not (stand_in / "gateway-starts.log").exists()


@pytest.mark.parametrize("line", [b"", b"not json\n"])
def test_without_its_secrets_the_runtime_does_not_start(stand_in: Path, line: bytes) -> None:
    done = launch(stand_in, line)

    assert done.returncode != 0
    assert done.stdout == b""
