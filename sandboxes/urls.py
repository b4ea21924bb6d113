"""Addresses of the pages about providers, and of the sandbox on its agent's page."""

from __future__ import annotations

from django.urls import path

from sandboxes.views import files, limits, openshell, providers, running, sandboxes, shells, tools, what_if

app_name = "sandboxes"

urlpatterns = [
    path("agents/<str:agent_id>/sandbox/", sandboxes.sandbox_part, name="sandbox-part"),
    path("agents/<str:agent_id>/sandbox/prepare/", sandboxes.sandbox_prepare, name="sandbox-prepare"),
    path("agents/<str:agent_id>/sandbox/stop/", sandboxes.sandbox_stop, name="sandbox-stop"),
    path("agents/<str:agent_id>/files/", files.agent_files, name="agent-files"),
    path("agents/<str:agent_id>/files/view/", files.file_view, name="file-view"),
    path("agents/<str:agent_id>/files/raw/", files.file_raw, name="file-raw"),
    path("agents/<str:agent_id>/files/delete/", files.file_delete, name="file-delete"),
    path("agents/<str:agent_id>/files/move/", files.file_move, name="file-move"),
    path("tools/", tools.site_tools, name="site-tools"),
    path("tools/what-if/", what_if.site_tools_what_if, name="site-tools-what-if"),
    path("agents/<str:agent_id>/tools/what-if/", what_if.agent_tools_what_if, name="agent-tools-what-if"),
    path("agents/<str:agent_id>/tools/", tools.agent_tools, name="agent-tools"),
    path("agents/<str:agent_id>/tools/calls/", tools.tool_calls, name="tool-calls"),
    path("agents/<str:agent_id>/tools/try/", tools.tool_try, name="tool-try"),
    path("sandboxes/<str:sandbox_id>/", sandboxes.sandbox_detail, name="sandbox-detail"),
    path("sandboxes/<str:sandbox_id>/keep/", sandboxes.sandbox_keep, name="sandbox-keep"),
    path("sandboxes/<str:sandbox_id>/running/", running.sandbox_running, name="sandbox-running"),
    path("sandboxes/<str:sandbox_id>/start/", running.sandbox_start, name="sandbox-start"),
    path("sandboxes/<str:sandbox_id>/stop/", running.sandbox_halt, name="sandbox-halt"),
    path("sandboxes/<str:sandbox_id>/restart/", running.sandbox_restart, name="sandbox-restart"),
    path("sandboxes/<str:sandbox_id>/shell/", shells.sandbox_shell, name="sandbox-shell"),
    path("sandboxes/<str:sandbox_id>/shells/", shells.sandbox_shells, name="sandbox-shells"),
    path("sandboxes/<str:sandbox_id>/shells/<str:name>/", shells.sandbox_transcript, name="sandbox-transcript"),
    path("agents/<str:agent_id>/sandbox/limits/", limits.sandbox_limits_page, name="sandbox-limits"),
    path("agents/<str:agent_id>/openshell/", openshell.agent_openshell, name="agent-openshell"),
    path("agents/<str:agent_id>/openshell/policy.yaml", openshell.agent_openshell_file, name="agent-openshell-file"),
    path("policies/<str:policy_id>/openshell/", openshell.policy_openshell, name="policy-openshell"),
    path(
        "policies/<str:policy_id>/openshell/policy.yaml", openshell.policy_openshell_file, name="policy-openshell-file"
    ),
    path("policies/<str:policy_id>/what-if/", what_if.policy_what_if, name="policy-what-if"),
    path("presets/<str:preset_id>/what-if/", what_if.preset_what_if, name="preset-what-if"),
    path("providers/", providers.provider_list, name="provider-list"),
    path("providers/new/", providers.provider_new, name="provider-new"),
    path("providers/<str:provider_id>/", providers.provider_detail, name="provider-detail"),
    path("providers/<str:provider_id>/models/", providers.provider_models_page, name="provider-models"),
    path("providers/<str:provider_id>/delete/", providers.provider_delete, name="provider-delete"),
]
