"""/api/people: everybody with an account, for admins: role, limit, suspension, groups, one-time links."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from ninja import Field, Query, Router, Schema

from agents import erasing, groups, invitations, limits, people, registration
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from agents.models import Role, User

router = Router(tags=["People"])

EXAMPLE: dict[str, Any] = {
    "id": 4,
    "username": "alice",
    "name": "Alice Liddell",
    "email": "alice@example.org",
    "role": "user",
    "state": "active",
    "has_second_factor": True,
    "max_agents": "role",
    "agents": 2,
    "agent_limit": 3,
    "groups": ["lab"],
    "joined_at": "2026-11-20T09:12:44.120Z",
    "last_seen_at": "2026-11-21T08:02:10.004Z",
}


class PersonOut(Schema):
    """Somebody with an account. ``max_agents`` is what was set for them, ``agent_limit`` what it comes to."""

    id: int
    username: str
    name: str
    email: str
    role: Role
    state: Literal["active", "suspended", "waiting", "refused", "erased"]
    has_second_factor: bool
    max_agents: str = Field(description="A number, `unlimited`, or `role` for what the role gives.")
    agents: int = Field(description="How many living agents they own.")
    agent_limit: int | None = Field(description="Null: no limit.")
    groups: list[str]
    joined_at: datetime
    last_seen_at: datetime | None

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class PersonPage(Schema):
    """People, the newest first."""

    items: list[PersonOut]
    next: str | None = NEXT


class PersonQuery(PageQuery):
    """Which people."""

    text: Text = Field("", description="Every word of it is in a name or the e-mail.", max_length=100)
    role: Role | None = None
    state: Text = Field("", description="active, suspended, waiting, refused or erased; empty: all.")
    group: Text = Field("", description="Only members of this group (its name).")


class PersonChange(Schema):
    """What to change; what is absent stays."""

    role: Role | None = None
    state: Literal["active", "suspended"] | None = None
    max_agents: Text | None = Field(None, description="A number, `unlimited` or `role`.", max_length=20)

    model_config = {"json_schema_extra": {"example": {"role": "operator", "max_agents": "20"}}}


class ApplicationDecision(Schema):
    """Why, for the audit."""

    note: Text = Field("", max_length=500)

    model_config = {"json_schema_extra": {"example": {"note": "Met at the lab."}}}


class Erasure(Schema):
    """The user name again, so that it is no slip."""

    username: Text = ""

    model_config = {"json_schema_extra": {"example": {"username": "alice"}}}


class InvitationIn(Schema):
    """Who joins."""

    role: Role = Role.USER
    email: Text = Field("", max_length=254, description="Filled in for them; nothing is sent.")

    model_config = {"json_schema_extra": {"example": {"role": "user", "email": "dora@example.org"}}}


class LinkOut(Schema):
    """A one-time link. Keep it: it is shown only now."""

    id: int
    url: str
    expires_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": 3,
                "url": "https://logos.example.org/invited/…/",
                "expires_at": "2026-11-28T09:12:44.120Z",
            }
        }
    }


class InvitationOut(Schema):
    """An invitation nobody has used yet."""

    id: int
    role: Role
    email: str
    expires_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {"id": 3, "role": "user", "email": "dora@example.org", "expires_at": "2026-11-28T09:12:44.120Z"}
        }
    }


class CountOut(Schema):
    """How many."""

    count: int

    model_config = {"json_schema_extra": {"example": {"count": 2}}}


def shown(person: Any) -> PersonOut:
    """Somebody from ``people.listed`` as an answer."""
    return PersonOut(
        id=person.pk,
        username=person.username,
        name=person.display_name,
        email=person.email,
        role=person.role,
        state=person.state,
        has_second_factor=person.has_factor,
        max_agents=limits.limit_text(person.max_agents),
        agents=person.agent_count,
        agent_limit=limits.limit_of(person),
        groups=sorted(group.name for group in person.groups.all()),
        joined_at=person.date_joined,
        last_seen_at=people.last_seen(person),
    )


def _one(user: User, person_id: int) -> PersonOut:
    return shown(people.find(user, person_id))


@router.get("", response=PersonPage, operation_id="list_people", summary="List people")
def list_people(request: HttpRequest, query: Query[PersonQuery]) -> dict[str, Any]:
    """Everybody with an account, for admins."""
    people.require(asker(request))
    rows = people.narrowed(
        people.listed().prefetch_related("groups"),
        text=query.text,
        role=query.role or "",
        state=query.state,
        group=query.group,
    )
    found = page(rows, query)
    return {**found, "items": [shown(each) for each in found["items"]]}


@router.get("/invitations", response=list[InvitationOut], operation_id="list_invitations", summary="List invitations")
def list_invitations(request: HttpRequest) -> Any:
    """Links nobody has used yet, at most 200."""
    return invitations.waiting(asker(request))[:200]


@router.post("/invitations", response={201: LinkOut}, operation_id="invite_person", summary="Invite somebody")
def invite_person(request: HttpRequest, body: InvitationIn) -> LinkOut:
    """A link by which somebody joins once, within seven days."""
    link, secret = invitations.invite(asker(request), body.role, body.email)
    url = request.build_absolute_uri(reverse("agents:join", args=[secret]))
    return LinkOut(id=link.pk, url=url, expires_at=link.expires_at)


@router.delete(
    "/invitations/{link_id}", response={204: None}, operation_id="withdraw_invitation", summary="Withdraw an invitation"
)
def withdraw_invitation(request: HttpRequest, link_id: int) -> None:
    """The link stops working."""
    invitations.withdraw(asker(request), link_id)


@router.get("/{person_id}", response=PersonOut, operation_id="get_person", summary="Read a person")
def get_person(request: HttpRequest, person_id: int) -> PersonOut:
    """One person by their id."""
    return _one(asker(request), person_id)


@router.patch("/{person_id}", response=PersonOut, operation_id="change_person", summary="Change a person")
def change_person(request: HttpRequest, person_id: int, body: PersonChange) -> PersonOut:
    """Role, limit, suspended or active again: all of what is sent, or nothing. It counts from their next request on."""
    user = asker(request)
    found = people.find(user, person_id)
    with transaction.atomic():
        if body.max_agents is not None:
            people.set_limit(user, found, body.max_agents)
        if body.role is not None:
            people.change_role(user, found, body.role)
        if body.state is not None and body.state != found.state:
            (people.suspend if body.state == "suspended" else people.restore)(user, found)
    return _one(user, person_id)


@router.post(
    "/{person_id}/sign-out", response=CountOut, operation_id="sign_out_person", summary="Sign somebody out everywhere"
)
def sign_out_person(request: HttpRequest, person_id: int) -> CountOut:
    """End every session of theirs; API tokens stay."""
    user = asker(request)
    return CountOut(count=people.sign_out(user, people.find(user, person_id)))


@router.delete(
    "/{person_id}/second-factor",
    response=CountOut,
    operation_id="reset_second_factor",
    summary="Remove a lost second factor",
)
def reset_second_factor(request: HttpRequest, person_id: int) -> CountOut:
    """Take every second factor and recovery code away, and end every session."""
    user = asker(request)
    return CountOut(count=people.reset_second_factor(user, people.find(user, person_id)))


@router.post(
    "/{person_id}/password-link",
    response={201: LinkOut},
    operation_id="make_password_link",
    summary="Make a link to set a password",
)
def make_password_link(request: HttpRequest, person_id: int) -> LinkOut:
    """A link to hand over: it sets a new password once, within 24 hours. Earlier ones stop working."""
    user = asker(request)
    link, secret = invitations.password_link(user, people.find(user, person_id))
    url = request.build_absolute_uri(reverse("agents:set-password", args=[secret]))
    return LinkOut(id=link.pk, url=url, expires_at=link.expires_at)


@router.put("/{person_id}/groups/{group_id}", response={204: None}, operation_id="add_member", summary="Add to a group")
def add_member(request: HttpRequest, person_id: int, group_id: int) -> None:
    """They are a member from now on; adding twice changes nothing."""
    user = asker(request)
    groups.add(user, groups.find(user, group_id), people.find(user, person_id))


@router.delete(
    "/{person_id}/groups/{group_id}", response={204: None}, operation_id="remove_member", summary="Remove from a group"
)
def remove_member(request: HttpRequest, person_id: int, group_id: int) -> None:
    """They lose what only the group gave them."""
    user = asker(request)
    groups.remove(user, groups.find(user, group_id), people.find(user, person_id))


@router.post(
    "/{person_id}/approve", response=PersonOut, operation_id="approve_application", summary="Let an applicant in"
)
def approve_application(request: HttpRequest, person_id: int, body: ApplicationDecision) -> PersonOut:
    """They may sign in from now on. 409 when it is decided already. Who waits: `/api/people?state=waiting`."""
    user = asker(request)
    registration.approve(user, people.find(user, person_id), body.note)
    return _one(user, person_id)


@router.post(
    "/{person_id}/refuse", response=PersonOut, operation_id="refuse_application", summary="Refuse an applicant"
)
def refuse_application(request: HttpRequest, person_id: int, body: ApplicationDecision) -> PersonOut:
    """They are not let in, and the application is deleted after some days."""
    user = asker(request)
    registration.refuse(user, people.find(user, person_id), body.note)
    return _one(user, person_id)


@router.post("/{person_id}/erase", response={202: PersonOut}, operation_id="erase_person", summary="Erase a person")
def erase_person(request: HttpRequest, person_id: int, body: Erasure) -> PersonOut:
    """The account is closed at once, the rest goes in the background; it cannot be undone. Send it again to take up an
    erasure that did not come to its end."""
    user = asker(request)
    erasing.erase(user, people.find(user, person_id), body.username)
    return _one(user, person_id)
