"""/api/me: who the API takes the caller for, and what their role allows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from agents import exporting, permissions
from agents.actions import ACTIONS
from agents.api.asking import asker
from agents.models import ExportState, User

router = Router(tags=["Me"])


class MeOut(Schema):
    """Oneself. ``may`` lists the actions one's role allows on some row; each row still decides for itself."""

    username: str
    name: str
    email: str
    role: str
    may: list[str]

    model_config = {
        "json_schema_extra": {
            "example": {
                "username": "alice",
                "name": "Alice Liddell",
                "email": "alice@example.org",
                "role": "user",
                "may": ["agent.view", "agent.chat", "agent.create", "run.view", "run.cancel", "token.create"],
            }
        }
    }


@router.get("", response=MeOut, operation_id="me", summary="Who am I")
def me(request: HttpRequest) -> MeOut:
    """The person this session or token belongs to."""
    return described(asker(request))


def described(user: User) -> MeOut:
    """A person as they see themselves."""
    may = [name for name in ACTIONS if permissions.may(user, name)]
    return MeOut(username=user.username, name=user.display_name, email=user.email, role=user.role, may=may)


class ExportOut(Schema):
    """An archive of one's data. It is fetched in a browser, at `/account/data/`, after the password."""

    id: str
    state: ExportState
    size: int | None
    created_at: datetime
    expires_at: datetime | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "export_01jd9z6w3v8f4k2m7q5t0x1y9c",
                "state": "ready",
                "size": 48211,
                "created_at": "2026-11-20T09:12:44.120Z",
                "expires_at": "2026-11-23T09:12:46.002Z",
            }
        }
    }


@router.get("/exports", response=list[ExportOut], operation_id="list_exports", summary="List archives of your data")
def list_exports(request: HttpRequest) -> Any:
    """The archives you asked for, the newest first."""
    user = asker(request)
    return exporting.of(user, user)[:20]


@router.post("/exports", response={202: ExportOut}, operation_id="ask_export", summary="Have an archive made")
def ask_export(request: HttpRequest) -> Any:
    """Everything Logos keeps about you as one file, made in the background. Asking twice while one is made is one."""
    user = asker(request)
    return exporting.ask(user, user)
