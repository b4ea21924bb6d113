"""What would send mail is not there: no mail is set up, and an error page would be the answer."""

from __future__ import annotations

import pytest
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["password/reset/", "password/reset/key/1-x/", "password/reset/done/", "confirm-email/"]
)
def test_there_is_nothing_to_open_or_to_post_to(client: Client, path: str) -> None:
    assert client.get(f"/accounts/{path}").status_code == 404
    assert client.post(f"/accounts/{path}", {"email": "ada@example.org"}).status_code == 404
