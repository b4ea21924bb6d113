"""Sealed secrets open with any configured key, and with no other."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from agents import secrets
from agents.errors import LogosError
from agents.models import Provider

OLD, NEW, FOREIGN = (Fernet.generate_key().decode() for _ in range(3))


@pytest.mark.parametrize("secret", ["sk-abc", "ключ 🔑", "a" * 5000, "with\nlines\t"])
def test_what_is_sealed_can_be_opened_again(secret: str) -> None:
    sealed = secrets.seal(secret)

    assert secret not in sealed
    assert secrets.unseal(sealed) == secret


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    assert secrets.seal("sk-abc") != secrets.seal("sk-abc")


def test_no_secret_stays_no_secret() -> None:
    assert (secrets.seal(""), secrets.unseal("")) == ("", "")


def test_a_new_key_in_front_seals_while_the_old_one_still_opens(settings: pytest.FixtureRequest) -> None:
    settings.LOGOS_SEAL_KEYS = [OLD]  # type: ignore[attr-defined]
    sealed_before = secrets.seal("sk-before")

    settings.LOGOS_SEAL_KEYS = [NEW, OLD]  # type: ignore[attr-defined]
    sealed_after = secrets.seal("sk-after")

    assert secrets.unseal(sealed_before) == "sk-before"
    assert Fernet(NEW).decrypt(sealed_after.encode()) == b"sk-after"


def test_blanks_and_a_comma_too_many_in_the_setting_do_no_harm(settings: pytest.FixtureRequest) -> None:
    settings.LOGOS_SEAL_KEYS = [f" {NEW}\n", ""]  # type: ignore[attr-defined]

    assert secrets.unseal(secrets.seal("x")) == "x"


@pytest.mark.parametrize("damage", ["foreign key", "cut", "not sealed at all"])
def test_what_no_key_opens_is_said_in_a_sentence_with_the_fix(settings: pytest.FixtureRequest, damage: str) -> None:
    settings.LOGOS_SEAL_KEYS = [FOREIGN]  # type: ignore[attr-defined]
    sealed = secrets.seal("sk-abc")
    if damage == "foreign key":
        settings.LOGOS_SEAL_KEYS = [NEW, OLD]  # type: ignore[attr-defined]
    sealed = {"cut": sealed[:-9], "not sealed at all": "hello"}.get(damage, sealed)

    with pytest.raises(LogosError) as broken:
        secrets.unseal(sealed)

    assert broken.value.reason == "seal_broken"
    assert "seal keys" in broken.value.message
    assert "enter the secret again" in broken.value.action
    assert "sk-abc" not in str(broken.value) + broken.value.detail


@pytest.mark.django_db
def test_a_stolen_database_row_holds_no_key() -> None:
    provider = Provider(name="P", kind="openai-compatible")
    provider.set_key("  sk-very-secret \n")
    provider.save()

    row = Provider.objects.values().get()

    assert "very-secret" not in str(row)
    assert secrets.unseal(row["sealed_key"]) == "sk-very-secret"
    assert provider.has_key
