"""Addresses of the pages about people, souls and agents."""

from __future__ import annotations

from django.urls import URLPattern, path

from agents.views import (
    agent_addresses,
    agent_part_addresses,
    data,
    gate,
    groups,
    halts,
    links,
    people,
    policies,
    presets,
    prices,
    registration,
    routes,
    service_accounts,
)
from agents.views.audit import audit
from agents.views.history import history
from agents.views.soul_addresses import urlpatterns as soul_addresses

app_name = "agents"

_SERVICE = "account/service-accounts/"

urlpatterns: list[URLPattern] = [
    path("audit/", audit, name="audit"),
    path("approvals/gate/", gate.gate_check, name="gate-check"),
    path("approvals/gate/rules/new/", gate.gate_rule_new, name="gate-rule-new"),
    path("approvals/gate/rules/<str:gate_rule_id>/", gate.gate_rule, name="gate-rule"),
    path("approvals/gate/rules/<str:gate_rule_id>/delete/", gate.gate_rule_delete, name="gate-rule-delete"),
    path("stop/", halts.halts, name="halt-list"),
    path("stop/<str:halt_id>/", halts.halt, name="halt"),
    path("stop/<str:halt_id>/stops/", halts.halt_stops, name="halt-stops"),
    path("stop/<str:halt_id>/resume/", halts.halt_resume, name="halt-resume"),
    path("agents/<str:agent_id>/stop/", halts.agent_stop, name="agent-stop"),
    path("history/<str:kind>/<str:object_id>/", history, name="history"),
    *agent_addresses.urlpatterns,
    *agent_part_addresses.urlpatterns,
    *soul_addresses,
    path("models/", routes.route_list, name="route-list"),
    path("models/new/", routes.route_new, name="route-new"),
    path("models/<str:route_id>/", routes.route_detail, name="route-detail"),
    path("models/<str:route_id>/default/", routes.route_default, name="route-default"),
    path("models/<str:route_id>/delete/", routes.route_delete, name="route-delete"),
    path("prices/", prices.price_list_list, name="price-lists"),
    path("prices/<str:list_id>/", prices.price_list_detail, name="price-list"),
    path("prices/<str:list_id>/apply/", prices.price_list_apply, name="price-list-apply"),
    path("prices/<str:list_id>/undo/", prices.price_list_undo, name="price-list-undo"),
    path("prices/<str:list_id>/again/", prices.price_list_again, name="price-list-again"),
    path("policies/", policies.policy_list, name="policy-list"),
    path("policies/four-eyes/", policies.policy_four_eyes, name="policy-four-eyes"),
    path("policies/new/", policies.policy_new, name="policy-new"),
    path("policies/<str:policy_id>/", policies.policy_detail, name="policy-detail"),
    path("policies/<str:policy_id>/delete/", policies.policy_delete, name="policy-delete"),
    path("presets/", presets.preset_list, name="preset-list"),
    path("presets/new/", presets.preset_new, name="preset-new"),
    path("presets/back/", presets.preset_back, name="preset-back"),
    path("presets/<str:preset_id>/", presets.preset_detail, name="preset-detail"),
    path("presets/<str:preset_id>/shipped/", presets.preset_shipped, name="preset-shipped"),
    path("presets/<str:preset_id>/delete/", presets.preset_delete, name="preset-delete"),
    path("people/", people.people_list, name="people"),
    path("people/waiting/", registration.waiting, name="waiting"),
    path("people/new/", people.invite, name="invite"),
    path("people/<int:person_id>/", people.person_detail, name="person"),
    path("people/<int:person_id>/data/", data.persons_data, name="person-data"),
    path("people/<int:person_id>/erase/", data.erase_person, name="person-erase"),
    path("groups/", groups.group_list, name="group-list"),
    path("groups/<int:group_id>/", groups.group_detail, name="group"),
    path("register/", registration.register, name="register"),
    path("invited/<str:token>/", links.join, name="join"),
    path("set-password/<str:token>/", links.set_password, name="set-password"),
    path(_SERVICE, service_accounts.account_list, name="service-accounts"),
    path(f"{_SERVICE}<int:account_id>/", service_accounts.account_detail, name="service-account"),
    path(f"{_SERVICE}<int:account_id>/suspend/", service_accounts.suspend, name="service-account-suspend"),
    path(f"{_SERVICE}<int:account_id>/give/", service_accounts.give, name="service-account-give"),
    path(
        f"{_SERVICE}<int:account_id>/tokens/<int:token_id>/rotate/",
        service_accounts.rotate,
        name="service-account-token-rotate",
    ),
    path(
        f"{_SERVICE}<int:account_id>/tokens/<int:token_id>/revoke/",
        service_accounts.revoke,
        name="service-account-token-revoke",
    ),
]
