"""Probes and metrics."""

import datetime as dt
import hmac
import os
from typing import Final

import prometheus_client
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import multiprocess

from apps.ops import health, metrics
from apps.ops.serving.callers import is_from_this_machine

EXPIRES: Final = dt.timedelta(days=90)


@require_safe
@never_cache
@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """Liveness: the process answers, even when the database or Redis does not."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
@login_not_required
def readyz(_request: HttpRequest) -> HttpResponse:
    """Readiness: each part by name, with `ok` or a sentence; 503 if this node cannot write what it is told."""
    found = health.run(health.READINESS)
    ready = not any(found[name] for name in health.NEEDED)
    response = JsonResponse(
        {
            "status": "ready" if ready else "unready",
            "checks": {name: problem or "ok" for name, problem in found.items()},
        },
        status=200 if ready else 503,
    )
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001  Django's mark: not an error of ours
    return response


@require_safe
@login_not_required
def security_txt(_request: HttpRequest) -> HttpResponse:
    """Whom to tell of a hole in this site (RFC 9116); 404 if nobody is named."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    # The RFC wants a date of less than a year ahead, so that nobody trusts a file that was forgotten.
    expires = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + EXPIRES
    lines = (
        f"Contact: {settings.SECURITY_CONTACT}",
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: zh, en",
        f"Canonical: {settings.SITE_URL}/.well-known/security.txt",
    )
    return HttpResponse("".join(f"{line}\n" for line in lines), content_type="text/plain; charset=utf-8")


@require_safe
@never_cache
@login_not_required
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus. A caller without the token, from another machine, gets 404."""
    # 404 and not 403: a stranger does not learn that the page exists.
    if not (is_from_this_machine(request) or _has_token(request)):
        raise Http404
    registry = prometheus_client.CollectorRegistry()
    # Several web processes each count for themselves; the collector adds up their files.
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's
    else:
        registry = prometheus_client.REGISTRY
    # In a registry of its own, because these figures are the database's: adding up processes would multiply them.
    work = prometheus_client.CollectorRegistry()
    work.register(metrics.WorkCollector())
    work.register(metrics.PromiseCollector())
    return HttpResponse(
        prometheus_client.generate_latest(registry) + prometheus_client.generate_latest(work),
        content_type=prometheus_client.CONTENT_TYPE_LATEST,
    )


def _has_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given.encode(), wanted.encode())
