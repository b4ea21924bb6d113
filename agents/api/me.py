"""/api/me: who the API takes the caller for, and what their role allows."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.models import User

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
    may = [name for name in permissions.ACTIONS if permissions.may(user, name)]
    return MeOut(username=user.username, name=user.display_name, email=user.email, role=user.role, may=may)
