"""The keeper: parent of one sandbox, which outlives the engine that started it and lets many connect at once.

It holds the listening descriptors and the control socket of PID 1, and its ``switchboard`` passes requests and answers
between PID 1 and its clients. When the keeper dies, the kernel ends the sandbox. Standard library only: it is started as
``python -I -S`` and stays small.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from sandboxes.local import kernel, launch, processes, wire
from sandboxes.local.switchboard import Switchboard, listening_socket, log

STATE_NAME = "state.json"


def main() -> None:
    """Arguments: the descriptor of the plan (JSON, see ``launch.Plan``), the descriptor of the starter's socket, and
    the engine directory, so that a list of processes tells whose keeper this is."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        file.seek(0)
        plan: launch.Plan = json.load(file)
    starter = socket.socket(fileno=int(sys.argv[2]))
    starter.set_inheritable(False)
    os.set_inheritable(plan["lock"], False)
    if os.fork():
        os._exit(0)  # the starter reaps this half; the other belongs to nobody who could die before it
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # so that PID 1 is ours to reap when bubblewrap goes first
    os.chdir(plan["engine"])
    try:
        sandbox = launch.launch(plan, starter)
    except launch.Failed as problem:
        log("failed", words=problem.words, status=problem.status)
        os.close(plan["lock"])  # before the starter can learn of the end: it may start again at once
        wire.Outbox(starter).put({"op": "failed", "words": problem.words[-8000:], "status": problem.status})
        sys.exit(1)
    state = _state(plan, sandbox)
    switchboard = Switchboard(sandbox, listening_socket(), state, plan)
    if not _hand_over(starter, state):
        switchboard.end("the starter gave up")
    starter.close()
    switchboard.serve()


def _state(plan: launch.Plan, sandbox: launch.Sandbox) -> dict[str, Any]:
    """What finds this sandbox again. Kept in a file too, for a start that finds the keeper dead."""
    state = {
        "version": wire.VERSION,
        "engine": plan["engine"],
        "keeper": processes.identity(os.getpid()),
        "init": processes.identity(sandbox.init),
        "layers": sandbox.layers,
        "groups": [str(group.directory) for group in sandbox.groups],
    }
    with open(os.open(STATE_NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file)
    return state


def _hand_over(starter: socket.socket, state: dict[str, Any]) -> bool:
    """Report, and go on only if the starter is still there to take it: a cancelled start leaves nothing behind."""
    try:
        wire.Outbox(starter).put({"op": "ready", "state": state})
        answer, _ = wire.receive(starter)
    except (OSError, wire.Malformed):
        return False
    return answer is not None
