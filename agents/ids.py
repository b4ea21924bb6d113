"""Ids that people see: a prefix that names the kind and a ULID, so that they sort by the time they were made."""

from __future__ import annotations

import os
import threading
import time

# Crockford's base 32: no I, L, O, U, so that an id can be read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_lock = threading.Lock()
_last = (0, 0)


def ulid() -> str:
    """26 characters: 48 bits of milliseconds, 80 bits of randomness (ULID specification); rises strictly
    within this process, also inside one millisecond."""
    global _last
    with _lock:
        now, noise = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
        if now <= _last[0]:
            now, noise = _last[0], _last[1] + 1
        _last = (now, noise)
    value = (now << 80) | (noise & ((1 << 80) - 1))
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


# Django writes defaults into migrations by name, so each kind has a function of its own.
def connection_id() -> str:
    return f"conn_{ulid()}"


def event_id() -> str:
    return f"event_{ulid()}"


def soul_id() -> str:
    return f"soul_{ulid()}"


def provider_id() -> str:
    return f"prov_{ulid()}"


def route_id() -> str:
    return f"route_{ulid()}"


def price_list_id() -> str:
    return f"prices_{ulid()}"


def policy_id() -> str:
    return f"pol_{ulid()}"


def agent_id() -> str:
    return f"agent_{ulid()}"


def learning_id() -> str:
    return f"learn_{ulid()}"


def halt_id() -> str:
    return f"halt_{ulid()}"


def sandbox_id() -> str:
    return f"box_{ulid()}"


def conversation_id() -> str:
    return f"conv_{ulid()}"


def message_id() -> str:
    return f"msg_{ulid()}"


def run_id() -> str:
    return f"run_{ulid()}"


def approval_id() -> str:
    return f"appr_{ulid()}"


def grant_id() -> str:
    return f"grant_{ulid()}"


def panel_id() -> str:
    return f"panel_{ulid()}"


def rule_id() -> str:
    return f"rule_{ulid()}"


def export_id() -> str:
    return f"export_{ulid()}"


def capability_id() -> str:
    return f"cap_{ulid()}"


def secret_id() -> str:
    return f"sec_{ulid()}"


def note_id() -> str:
    return f"note_{ulid()}"


def document_id() -> str:
    return f"doc_{ulid()}"


def budget_id() -> str:
    return f"budget_{ulid()}"


def tool_rule_id() -> str:
    return f"toolrule_{ulid()}"


def gate_rule_id() -> str:
    return f"gaterule_{ulid()}"


def tool_call_id() -> str:
    return f"tool_{ulid()}"
