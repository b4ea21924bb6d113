"""Start the agent runtime inside its sandbox; run there by the runtime's own Python, standard library only.

Order matters. The process is closed to its own tools (same user) before the secrets arrive on standard
input, and they are never part of an environment block that ``/proc`` shows. Everything patched below is
private to hermes-agent 0.19 or to Python; the version is pinned, and ``docs/runtime.md`` says what to try
again before it is raised.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import ctypes
import importlib.abc
import importlib.util
import json
import os
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PR_SET_DUMPABLE = 4
THREADS = 64  # a run holds one for its whole life, also while it waits for a person; the default is cores + 4

REASON_CHARS = 500

HUB = "logos"  # what the configuration calls the one tool server there is: the gateway outside
HUB_S = 3.0  # so long a start, or a run, waits for it; then it goes on with the tools it knows
HUB_PAUSE_S, HUB_LONGEST_PAUSE_S = 2.0, 60.0


def close_to_others() -> None:
    """Keep this process's memory and environment unreadable to other processes of the same user."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise SystemExit("could not protect the runtime's memory; not starting")


def take_secrets() -> tuple[frozenset[str], dict[str, str]]:
    """Read one line of JSON from standard input and close that door.

    What is the runtime's goes into its environment; the names of it are returned, and what every command gets."""
    line = json.loads(sys.stdin.buffer.readline())
    own, commands = ({str(name): str(value) for name, value in line[part].items()} for part in ("runtime", "commands"))
    os.environ.update(own)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return frozenset(own), commands


def keep_from_children(names: frozenset[str], commands: dict[str, str]) -> None:
    """Start every process without the runtime's secrets, and with those that are for the agent's commands.

    The runtime strips secrets from its shell tool. But it also starts helpers of its own, git for instance, in a
    directory whose contents (and so whose hooks) belong to the agent. And it would strip what the agent's owner
    gave to commands, when it knows the name; what is for commands is not in the runtime's own environment, where
    some names would switch parts of it on."""
    plain: Any = subprocess.Popen.__init__

    def init(self: Any, *args: Any, env: Any = None, **options: Any) -> None:
        given = os.environ if env is None else env
        kept = {name: value for name, value in given.items() if name not in names}
        plain(self, *args, env={**kept, **commands}, **options)

    subprocess.Popen.__init__ = init  # type: ignore[method-assign]


def forget_earlier_starts() -> None:
    """More than five starts in two minutes would make the runtime sleep, up to five minutes, before it listens."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(os.environ["HERMES_HOME"], "gateway-starts.log"))


def widen_thread_pools() -> None:
    """Let as many runs go on at once as the configuration allows, whatever the number of cores."""
    plain = concurrent.futures.ThreadPoolExecutor.__init__

    def init(self: Any, max_workers: Any = None, *args: Any, **options: Any) -> None:
        plain(self, max_workers or THREADS, *args, **options)

    concurrent.futures.ThreadPoolExecutor.__init__ = init  # type: ignore[method-assign]


def carry_context_into_threads() -> None:
    """The runtime knows the run in a context variable, but starts threads and pools without it."""
    start, submit = threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit

    def start_with_context(self: Any) -> None:
        context, run = contextvars.copy_context(), self.run
        self.run = lambda: context.run(run)
        start(self)

    def submit_with_context(self: Any, call: Any, /, *args: Any, **options: Any) -> Any:
        return submit(self, contextvars.copy_context().run, call, *args, **options)

    threading.Thread.start = start_with_context  # type: ignore[method-assign]
    concurrent.futures.ThreadPoolExecutor.submit = submit_with_context  # type: ignore[method-assign]


def stamp_model_calls() -> None:
    """Put the run's id on every request to the router, as a second witness beside the lane."""
    import httpx

    def stamp(request: Any) -> None:
        if request.url.host.endswith(".logos.internal"):
            approval = sys.modules.get("tools.approval")
            run = approval._approval_session_key.get() if approval else ""
            if run.startswith("run_"):
                request.headers["X-Logos-Run"] = run

    def stamped(send: Any) -> Any:
        def send_stamped(self: Any, request: Any, *args: Any, **options: Any) -> Any:
            stamp(request)
            return send(self, request, *args, **options)

        return send_stamped

    httpx.Client.send = stamped(httpx.Client.send)  # type: ignore[method-assign]
    httpx.AsyncClient.send = stamped(httpx.AsyncClient.send)  # type: ignore[method-assign]


def carry_reasons() -> None:
    """Let a denial say why: the runtime relays a reason to the agent, but its HTTP interface takes none.

    The body of an answer is read in the task that then resolves the question, so a context variable carries the
    reason from one to the other."""
    from aiohttp import web_request

    why: contextvars.ContextVar[str] = contextvars.ContextVar("why", default="")
    read = web_request.BaseRequest.json

    def with_reason(resolve: Any) -> Any:
        def resolve_with_reason(*args: Any, **options: Any) -> Any:
            reason = why.get()
            return resolve(*args, **({"reason": reason} if reason else {}) | options)

        resolve_with_reason.carries_reason = True  # type: ignore[attr-defined]
        return resolve_with_reason

    async def read_reason(self: Any, **options: Any) -> Any:
        body = await read(self, **options)
        if self.path.endswith("/approval") and isinstance(body, dict) and isinstance(body.get("reason"), str):
            approval = sys.modules.get("tools.approval")
            if approval is not None and not hasattr(approval.resolve_gateway_approval, "carries_reason"):
                approval.resolve_gateway_approval = with_reason(approval.resolve_gateway_approval)  # type: ignore[attr-defined]
            why.set(body["reason"][:REASON_CHARS])
        return body

    web_request.BaseRequest.json = read_reason  # type: ignore[method-assign]


def when_imported(name: str, change: Callable[[Any], None]) -> None:
    """Call ``change`` with the module of this name as soon as the runtime has imported it, if it ever does."""

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
            if fullname != name:
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(fullname)
            if spec is None or spec.loader is None:
                return spec
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, Finder())


def use_the_hub(module: Any) -> None:
    """Reach the tools outside without waiting for them, know them anew at every run, and say which run calls.

    The runtime itself connects once, before it answers anybody, for as long as the other side is silent; it asks for
    tools once; one call at a time; and three refusals in a row make it give up all of them for a minute."""
    find, has_tools, session_of = (
        module.discover_mcp_tools,
        module.has_registered_mcp_tools,
        module.MCPServerTask.__init__,
    )

    def connect() -> None:
        pause = HUB_PAUSE_S
        while True:
            find()
            if HUB in module._servers or HUB not in module._load_mcp_config():
                return
            time.sleep(pause)
            pause = min(pause * 2, HUB_LONGEST_PAUSE_S)

    def find_meanwhile() -> list[str]:
        thread = threading.Thread(target=connect, name="tools of the hub", daemon=True)
        thread.start()
        thread.join(HUB_S)
        return list(module._existing_tool_names())

    def catch_up() -> None:
        server = module._servers.get(HUB)
        if server is None:
            return
        if server.session is None:
            module._signal_reconnect(server)
            module._wait_for_server_session_ready(server, timeout=HUB_S)
        else:
            module._run_on_mcp_loop(server._refresh_tools, timeout=HUB_S)

    def has_tools_now() -> bool:
        # Asked once at the beginning of a run. What was granted or taken since the last one counts from here on.
        with contextlib.suppress(Exception):
            catch_up()
        return bool(has_tools())

    def init(self: Any, *args: Any, **options: Any) -> None:
        session_of(self, *args, **options)
        self._rpc_lock = contextlib.nullcontext()  # a call that waits for a person holds up no other

    module.discover_mcp_tools, module.has_registered_mcp_tools = find_meanwhile, has_tools_now
    module.MCPServerTask.__init__ = init
    module._CIRCUIT_BREAKER_THRESHOLD = sys.maxsize
    name_the_run(module.ClientSession)


def name_the_run(session: Any) -> None:
    """Several runs share the one connection to the hub; each call names its own."""
    plain = session.call_tool

    async def call_tool(self: Any, *args: Any, meta: dict[str, Any] | None = None, **options: Any) -> Any:
        approval = sys.modules.get("tools.approval")
        run = approval._approval_session_key.get() if approval else ""
        if run.startswith("run_"):
            meta = {**(meta or {}), "logos/run": run}
        return await plain(self, *args, meta=meta, **options)

    session.call_tool = call_tool


def main() -> None:
    close_to_others()
    keep_from_children(*take_secrets())
    forget_earlier_starts()
    widen_thread_pools()
    carry_context_into_threads()
    stamp_model_calls()
    carry_reasons()
    when_imported("tools.mcp_tool", use_the_hub)
    sys.argv = ["hermes", *sys.argv[1:]]
    runpy.run_module("hermes_cli.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
