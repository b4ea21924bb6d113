"""The ids of this room's rows."""

from __future__ import annotations

from agents.ids import ulid


def server_id() -> str:
    return f"mcp_{ulid()}"


def secret_id() -> str:
    return f"mcpsec_{ulid()}"


def access_id() -> str:
    return f"access_{ulid()}"


def call_id() -> str:
    return f"mcpcall_{ulid()}"


def pin_id() -> str:
    return f"pin_{ulid()}"


def client_id() -> str:
    return f"mcpclient_{ulid()}"


def sampling_id() -> str:
    return f"mcpask_{ulid()}"


def account_id() -> str:
    return f"mcpacc_{ulid()}"
