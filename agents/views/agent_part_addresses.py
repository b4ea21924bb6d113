"""Addresses of an agent's capabilities, secrets and documents."""

from __future__ import annotations

from django.urls import URLPattern, path

from agents.views import agent_secrets, capabilities, documents, notes

_AGENT = "agents/<str:agent_id>"
_DOCUMENT = f"{_AGENT}/documents/<str:document_id>"

urlpatterns: list[URLPattern] = [
    path(f"{_AGENT}/capabilities/", capabilities.agent_capabilities, name="agent-capabilities"),
    path(f"{_AGENT}/secrets/", agent_secrets.agent_secrets_page, name="agent-secrets"),
    path(f"{_AGENT}/notes/", notes.agent_notes, name="agent-notes"),
    path(f"{_AGENT}/documents/", documents.agent_documents, name="agent-documents"),
    path(f"{_AGENT}/documents/new/", documents.document_new, name="document-new"),
    path(f"{_DOCUMENT}/", documents.document_detail, name="document-detail"),
    path(f"{_DOCUMENT}/download/", documents.document_download, name="document-download"),
]
