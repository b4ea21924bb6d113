"""Fixtures of the journeys.

logos   a seeded Logos that serves, one per module: journeys restart it, and find it serving again

Every test gets it serving, whatever the one before did; sandboxes survive that, as in life.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.journeys.house import House, a_house


@pytest.fixture(scope="module")
def house(django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    with django_db_blocker.unblock(), a_house() as house:
        yield house


@pytest.fixture
def logos(house: House) -> House:
    if house.process is None or house.process.poll() is not None:
        house.start()
    return house
