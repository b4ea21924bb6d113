"""The console's pages for who there is; one module per kind of object."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin

from agents.admin import (
    agent_parts,
    agents,
    audit,
    gate_rules,
    halts,
    learning,
    notes,
    people,
    policies,
    presets,
    prices,
    providers,
    site,
    souls,
)

__all__ = [
    "agent_parts",
    "agents",
    "audit",
    "gate_rules",
    "halts",
    "learning",
    "notes",
    "people",
    "policies",
    "presets",
    "prices",
    "providers",
    "site",
    "souls",
]

# One way to sign in for the whole site, with its rate limits and its second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
