"""Addresses of chats and runs."""

from __future__ import annotations

from django.urls import path

from runs.views import (
    activity,
    approval_figures,
    approvals,
    budgets,
    chat,
    costs,
    files,
    learning,
    ledger,
    permitted,
    reach,
    sharing,
    steering,
)
from runs.views.asof import as_of

app_name = "runs"
urlpatterns = [
    path("chat/", chat.newest, name="chat"),
    path("chat/list/", chat.threads, name="chat-threads"),
    path("chat/new/<str:agent_id>/", chat.new, name="chat-new"),
    path("chat/new/<str:agent_id>/send/", chat.send_new, name="chat-new-send"),
    path("chat/<str:conversation_id>/", chat.conversation, name="chat-conversation"),
    path("chat/<str:conversation_id>/send/", chat.send, name="chat-send"),
    path("people/privacy/", ledger.privacy_page, name="privacy"),
    path("runs/", activity.run_list, name="run-list"),
    path("runs/<str:run_id>/", activity.run_detail, name="run-detail"),
    path("runs/<str:run_id>/reply/", activity.run_reply, name="run-reply"),
    path("runs/<str:run_id>/permissions/", permitted.run_permissions, name="run-permissions"),
    path("runs/<str:run_id>/files/", files.run_files, name="run-files"),
    path("runs/<str:run_id>/record/", activity.run_record, name="run-record"),
    path("runs/<str:run_id>/steps/<int:seq>/", activity.step_output, name="step-output"),
    path("runs/<str:run_id>/cancel/", steering.cancel, name="run-cancel"),
    path("runs/<str:run_id>/hosts/", steering.ask_for_host, name="run-ask-host"),
    path("runs/<str:run_id>/clone/", steering.clone, name="run-clone"),
    path("agents/<str:agent_id>/reach/", reach.agent_reach, name="agent-reach"),
    path("agents/<str:agent_id>/reach/try/", permitted.agent_try, name="agent-try"),
    path("agents/<str:agent_id>/learning/", learning.learning_start, name="learning-start"),
    path("agents/<str:agent_id>/learning/stop/", learning.learning_stop, name="learning-stop"),
    path("agents/<str:agent_id>/proposal/", learning.agent_proposal, name="agent-proposal"),
    path("policies/<str:policy_id>/prune/", reach.prune, name="policy-prune"),
    path("policies/<str:policy_id>/unprune/", reach.unprune, name="policy-unprune"),
    path("budgets/", budgets.budget_list, name="budget-list"),
    path("costs/", costs.costs_page, name="costs"),
    path("budgets/new/", budgets.budget_new, name="budget-new"),
    path("budgets/<str:budget_id>/", budgets.budget_detail, name="budget-detail"),
    path("budgets/<str:budget_id>/delete/", budgets.budget_delete, name="budget-delete"),
    path("asof/", as_of, name="asof"),
    path("share/<str:kind>/<str:object_id>/", sharing.share, name="share"),
    path("explain/<str:kind>/<str:object_id>/", sharing.explain, name="explain"),
    path("approvals/", approvals.waiting, name="approvals"),
    path("approvals/cards/", approvals.cards_part, name="approvals-cards"),
    path("approvals/decided/", approvals.decided, name="approvals-decided"),
    path("approvals/rules/", approvals.rules, name="approval-rules"),
    path("approvals/rules/<str:rule_id>/revoke/", approvals.rule_revoke, name="approval-rule-revoke"),
    path("approvals/figures/", approval_figures.figures, name="approval-figures"),
    path("approvals/<str:approval_id>/", approvals.detail, name="approval"),
    path("approvals/<str:approval_id>/card/", approvals.card, name="approval-card"),
    path("approvals/<str:approval_id>/exact/", approvals.exact, name="approval-exact"),
    path("approvals/<str:approval_id>/decide/", approvals.decide, name="approval-decide"),
]
