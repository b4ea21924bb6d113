"""LOGOS_OIDC_*: what is read, what is refused in one sentence, and what doctor says of a provider."""

from __future__ import annotations

from typing import Any

import pytest

from logos_site import probes
from logos_site.env import REGISTRY, ConfigurationError
from logos_site.oidc import configuration
from tests.oidc import Forger, configured

GOOD = {
    "LOGOS_OIDC_PROVIDERS": "corp",
    "LOGOS_OIDC_CORP_ISSUER": "https://id.example.org/",
    "LOGOS_OIDC_CORP_CLIENT_ID": "logos",
    "LOGOS_OIDC_CORP_CLIENT_SECRET": "hush-hush-hush",
}


def read(monkeypatch: Any, **changes: str) -> dict[str, configuration.Issuer]:
    for name, value in {**GOOD, **changes}.items():
        monkeypatch.setenv(name, value)
    return configuration.read()


def test_a_provider_is_read_with_nothing_trusted_by_default(monkeypatch: Any) -> None:
    (one,) = read(monkeypatch).values()

    assert (one.name, one.title, one.issuer) == ("corp", "Corp", "https://id.example.org")
    assert not one.trusts_email
    assert not one.makes_people
    assert one.role == "viewer"
    assert "hush" not in repr(one)


def test_the_secret_may_be_a_file_and_lists_are_read(monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("LOGOS_OIDC_CORP_CLIENT_SECRET_FILE", str(tmp_path / "secret"))

    (one,) = read(
        monkeypatch,
        LOGOS_OIDC_CORP_DOMAINS="Example.org, @corp.example",
        LOGOS_OIDC_CORP_ROLES="urn:x:ops:operator, staff:user",
        LOGOS_OIDC_CORP_GROUPS="staff:Everybody here",
    ).values()

    assert one.secret == "from a file"
    assert one.domains == {"example.org", "corp.example"}
    assert one.roles == (("urn:x:ops", "operator"), ("staff", "user"))
    assert one.groups == (("staff", "Everybody here"),)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"LOGOS_OIDC_PROVIDERS": "Corp!"}, "small letters"),
        ({"LOGOS_OIDC_CORP_ISSUER": ""}, "LOGOS_OIDC_CORP_ISSUER is missing"),
        ({"LOGOS_OIDC_CORP_ISSUER": "http://id.example.org"}, "https"),
        ({"LOGOS_OIDC_CORP_ISSUER": "http://localhost.evil.example"}, "https"),
        ({"LOGOS_OIDC_CORP_ISSUER": "https://[broken"}, "https"),
        ({"LOGOS_OIDC_CORP_CLIENT_SECRET": ""}, "CLIENT_SECRET is missing"),
        ({"LOGOS_OIDC_CORP_ROLE": "admin"}, "only people make admins"),
        ({"LOGOS_OIDC_CORP_ROLES": "boss:admin"}, "only people make admins"),
        ({"LOGOS_OIDC_CORP_ROLES": "operator"}, "value:name pairs"),
        ({"LOGOS_OIDC_CORP_TRUST_EMAIL": "perhaps"}, "must be 1 or 0"),
    ],
)
def test_what_is_not_sound_is_refused_with_one_sentence(monkeypatch: Any, changes: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        read(monkeypatch, **changes)
    assert "hush" not in str(caught.value)


def test_every_setting_of_a_provider_is_documented_once(monkeypatch: Any) -> None:
    before = set(REGISTRY)

    read(monkeypatch)

    assert set(REGISTRY) == before
    assert "LOGOS_OIDC_NAME_ISSUER" in REGISTRY


def test_doctor_says_whether_a_provider_answers(settings: Any) -> None:
    forger = Forger()
    try:
        configured(settings, forger.issuer)
        (well,) = probes.sign_ins()
        assert well.ok
        forger.document = {"code_challenge_methods_supported": ["plain"]}
        (weak,) = probes.sign_ins()
        assert (weak.ok, weak.mandatory) == (False, False)
        assert "PKCE" in weak.detail
        forger.document = {"issuer": "https://elsewhere.example"}
        (odd,) = probes.sign_ins()
        assert "calls itself 'https://elsewhere.example'" in odd.detail
        assert "LOGOS_OIDC_CORP_ISSUER" in odd.fix
    finally:
        forger.close()
    (gone,) = probes.sign_ins()
    assert "cannot be reached" in gone.detail
