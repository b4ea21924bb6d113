"""The console for tests: a signed-in browser on the admin's pages, by model."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from agents.models import User


class Console:
    """The admin as ``user`` sees it."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client()
        if user is not None:
            self.client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")

    def address(self, model: type[Model], page: str = "changelist", pk: Any = None) -> str:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
        return reverse(name, args=[] if pk is None else [pk])

    def list(self, model: type[Model], query: str = "") -> HttpResponse:
        return self.client.get(self.address(model) + query)

    def open(self, row: Model, page: str = "change") -> HttpResponse:
        return self.client.get(self.address(type(row), page, row.pk))

    def save(self, target: Model | type[Model], **values: Any) -> HttpResponse:
        """Post the form of a row (or of a new one), what it holds already included."""
        is_row = isinstance(target, Model)
        model = type(target) if is_row else target
        address = self.address(model, "change", target.pk) if is_row else self.address(model, "add")
        page = self.client.get(address)
        assert page.status_code == 200, page
        data = {**initial_values(page), **values}
        return self.client.post(address, {key: value for key, value in data.items() if value is not None})

    def delete(self, row: Model) -> HttpResponse:
        return self.client.post(self.address(type(row), "delete", row.pk), {"post": "yes"})

    def act(self, model: type[Model], action: str, *rows: Model, **more: str) -> list[str]:
        """Run an action on chosen rows and return what the console says about it; ``confirmed="yes"`` answers the
        page that asks first."""
        answer = self.post_action(model, action, *rows, **more)
        return [str(message) for message in answer.context["messages"]]

    def question(self, model: type[Model], action: str, *rows: Model) -> str:
        """The page that asks before an action is done."""
        page = self.post_action(model, action, *rows)
        assert 'name="confirmed"' in page.content.decode()
        return unescape(page.content.decode())

    def post_action(self, model: type[Model], action: str, *rows: Model, **more: str) -> HttpResponse:
        data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
        return self.client.post(self.address(model), data, follow=True)


def initial_values(page: HttpResponse) -> dict[str, Any]:
    """What a browser would send back from an untouched form."""
    values: dict[str, Any] = {}
    forms = [page.context["adminform"].form, *(f for fs in page.context["inline_admin_formsets"] for f in fs.formset)]
    forms += [fs.formset.management_form for fs in page.context["inline_admin_formsets"]]
    for form in forms:
        for field in form:
            value = field.value()
            if value is not None and value is not False and value != "":
                values[field.html_name] = value
    return values


def complaints(page: HttpResponse) -> str:
    """Every error of the forms that the page shows, as text."""
    assert page.status_code == 200, f"saved, or {page.status_code}"
    shown = unescape(re.sub(r"<[^>]+>", " ", page.content.decode()))
    formsets = [each.formset for each in page.context["inline_admin_formsets"]]
    lists = [formset.non_form_errors() for formset in formsets]
    for form in (page.context["adminform"].form, *(form for formset in formsets for form in formset)):
        lists += form.errors.values()
    return " ".join(text for errors in lists for text in errors if text in shown)
