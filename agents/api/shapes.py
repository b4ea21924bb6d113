"""What all answers of the API have in common: the shape of an error, pages of a list, references to rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from ninja import Field, Schema
from pydantic import AfterValidator, PlainSerializer

from agents.errors import Invalid

M = TypeVar("M", bound=Model)

MAX_PAGE = 100


def storable(text: str) -> str:
    """``text`` if a database can hold it: PostgreSQL stores no NUL byte, and no database half a character."""
    if "\x00" in text:
        raise ValueError("It holds a NUL byte")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("It is not valid Unicode") from error
    return text


Text = Annotated[str, AfterValidator(storable)]


def digits(amount: Decimal) -> str:
    """Every digit and no exponent: 0.00128700."""
    return format(amount, "f")


# Money as text, so that no digit is lost on the way.
Money = Annotated[Decimal, PlainSerializer(digits, return_type=str)]


class Problem(Schema):
    """Why a request was refused. ``reason`` is stable and for programs, ``message`` and ``action`` are for people."""

    reason: str
    message: str
    action: str = ""
    field: str = ""


class Refused(Schema):
    """Every answer that is not a success has this shape."""

    error: Problem

    model_config = {
        "json_schema_extra": {
            "example": {
                "error": {
                    "reason": "conversation_busy",
                    "message": "The agent is still answering in this chat.",
                    "action": "Wait until it is done, or stop it; your message is kept here.",
                    "field": "",
                }
            }
        }
    }


class PageQuery(Schema):
    """Which page of a list."""

    after: Text = Field("", description="The `next` of the page before; empty for the first page.")
    limit: int = Field(50, ge=1, le=MAX_PAGE, description="How many items at most.")


def page(rows: QuerySet[M], query: PageQuery, *, newest_first: bool = True) -> dict[str, Any]:
    """One page of ``rows`` by their ids, which sort by the time they were made, and where the next begins.

    Raises Invalid for an ``after`` that no id can be."""
    if query.after:
        try:
            after = rows.model._meta.pk.to_python(query.after)
        except ValidationError as error:
            raise Invalid("This is not the `next` of a page.", field="after") from error
        rows = rows.filter(**{"pk__lt" if newest_first else "pk__gt": after})
    found = list(rows.order_by("-pk" if newest_first else "pk")[: query.limit + 1])
    items = found[: query.limit]
    return {"items": items, "next": str(items[-1].pk) if len(found) > query.limit else None}


NEXT = Field(None, description="Send it as `after` to get the next page; null on the last.")


# Every PATCH names the version it was written from, so that nobody overwrites what they have not read.
Version = Annotated[int, Field(ge=1, description="The `version` you read; 409 `stale` if somebody saved since.")]


def given(body: Schema, nullable: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a PATCH really sent, but for its version. Invalid for a null where a value must be."""
    fields = body.dict(exclude_unset=True, exclude={"version"})
    for name, value in fields.items():
        if value is None and name not in nullable:
            raise Invalid(f"{name} cannot be null.", field=name, action="Leave it out to keep it.")
    return fields


class AgentRef(Schema):
    """The agent it is about."""

    id: str
    name: str


class PersonRef(Schema):
    """A person, as others see them."""

    username: str
    name: str = Field(alias="display_name")
