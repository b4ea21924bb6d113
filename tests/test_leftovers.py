"""What one test leaves behind does not reach the next."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from agents.models import User


@pytest.mark.django_db(transaction=True)
def test_a_connection_refused_half_way_locks_nothing_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("owner")
    told: list[object] = []

    def opens_while_the_test_ends() -> None:
        def refused(self: BaseDatabaseWrapper, *args: object, **kwargs: object) -> None:
            raise RuntimeError("Database access not allowed")

        try:
            with monkeypatch.context() as ending:
                ending.setattr(BaseDatabaseWrapper, "set_autocommit", refused)
                with pytest.raises(RuntimeError):
                    connection.ensure_connection()
            User.objects.update(first_name="Changed")
            told.append(connection.connection.in_transaction if connection.vendor == "sqlite" else False)
        finally:
            connection.close()

    thread = threading.Thread(target=opens_while_the_test_ends)
    thread.start()
    thread.join()

    assert told == [False]
