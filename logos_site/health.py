"""Is it alive (``/healthz``), can it serve (``/readyz``): for supervisors, load balancers and people.

Strangers learn which part is not well, never why: reasons hold paths and versions, so they are for operators.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from logos_site import probes
from sandboxes.driver import Check

PROBES = {
    "database": probes.database,
    "engine": probes.engine,
    "background work": probes.background,
    "disk": probes.disk,
    "agent runtime": probes.agent_runtime,
}


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all; asks nothing of the database."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when everything a run needs is there, else 503 with the names of what is missing."""
    checks = [probes.guarded(name, probe) for name, probe in PROBES.items()]
    is_ready = all(check.ok for check in checks)
    tells_why = checks[0].ok and _is_operator(request)
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "checks": {c.name: _shown(c, tells_why) for c in checks}},
        status=200 if is_ready else 503,
    )


def _shown(check: Check, tells_why: bool) -> dict[str, Any]:
    return {"ok": check.ok} | ({"reason": check.detail, "fix": check.fix} if tells_why else {})


def _is_operator(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff
