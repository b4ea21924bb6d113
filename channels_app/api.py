"""/api/me/notifications: how one hears that something waits. A browser is switched on in that browser itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents.api.asking import asker
from agents.api.shapes import Text
from agents.models import User
from channels_app import confirming, devices, mailing, notices

router = Router(tags=["Me"])


class PushDeviceOut(Schema):
    """A browser that push messages go to. Its address and keys are told to nobody."""

    id: int
    name: str
    created_at: datetime
    reached_at: datetime | None = Field(description="When its push service last took a message.")


class NotificationsOut(Schema):
    """What one wants to be told by, and the browsers that are."""

    by_push: bool
    by_mail: bool
    sends_mail: bool = Field(description="Whether this Logos has a mail server.")
    is_confirmed: bool = Field(
        description="Whether mail may go to your address: an admin gave it, or you confirmed it."
    )
    devices: list[PushDeviceOut]

    model_config = {
        "json_schema_extra": {
            "example": {
                "by_push": True,
                "by_mail": False,
                "sends_mail": True,
                "is_confirmed": True,
                "devices": [
                    {
                        "id": 3,
                        "name": "Firefox on Linux",
                        "created_at": "2026-11-20T09:12:44.120Z",
                        "reached_at": "2026-11-21T14:02:10.003Z",
                    }
                ],
            }
        }
    }


class NotificationsChange(Schema):
    """What to change; what is left out stays."""

    by_push: bool | None = None
    by_mail: bool | None = None

    model_config = {"json_schema_extra": {"example": {"by_mail": True}}}


@router.get("", response=NotificationsOut, operation_id="get_notifications", summary="How you are told")
def get_notifications(request: HttpRequest) -> dict[str, Any]:
    """Push and e-mail, and the browsers you switched on."""
    return _shown(asker(request))


@router.patch("", response=NotificationsOut, operation_id="change_notifications", summary="Change how you are told")
def change_notifications(request: HttpRequest, body: NotificationsChange) -> dict[str, Any]:
    """Refused where mail is wished and cannot be sent: without a mail server, or without an address of yours."""
    user = asker(request)
    notices.change(user, by_push=body.by_push, by_mail=body.by_mail)
    return _shown(user)


class CodeIn(Schema):
    """The code of the mail; without one, a mail with one is sent."""

    code: Text = Field("", max_length=20)

    model_config = {"json_schema_extra": {"example": {"code": "K3QZ7PMA"}}}


@router.post("/address", response=NotificationsOut, operation_id="confirm_address", summary="Confirm your address")
def confirm_address(request: HttpRequest, body: CodeIn) -> dict[str, Any]:
    """Mail goes to no address that somebody only typed: ask for a code, then send it."""
    user = asker(request)
    if body.code:
        confirming.confirm(user, body.code)
    else:
        confirming.send_code(user)
    return _shown(user)


@router.delete(
    "/devices/{device_id}", response={204: None}, operation_id="remove_push_device", summary="Switch a browser off"
)
def remove_push_device(request: HttpRequest, device_id: int) -> None:
    """It is told nothing more."""
    devices.remove(asker(request), device_id)


def _shown(user: User) -> dict[str, Any]:
    wants = notices.wants(user)
    return {
        "by_push": wants.by_push,
        "by_mail": wants.by_mail,
        "sends_mail": mailing.is_set_up(),
        "is_confirmed": confirming.is_confirmed(user),
        "devices": list(devices.of(user)),
    }
