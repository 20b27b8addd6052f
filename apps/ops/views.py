"""Probes, metrics, and in development the mail that was caught."""

import hmac
import os
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

import prometheus_client
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import multiprocess

from apps.ops import health, metrics


@require_safe
@never_cache
@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process lives, whatever becomes of the rest."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
@login_not_required
def readyz(_request: HttpRequest) -> HttpResponse:
    """The work gets done: each part by name, `ok` or what is wrong."""
    found = health.run(health.READINESS)
    ready = not any(found.values())
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
@never_cache
@login_not_required
def metrics_page(request: HttpRequest) -> HttpResponse:
    """For Prometheus. To everybody else there is no such page."""
    if not (_from_this_machine(request) or _has_token(request)):
        raise Http404
    registry = prometheus_client.CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's
    else:
        registry = prometheus_client.REGISTRY
    work = prometheus_client.CollectorRegistry()
    work.register(metrics.Work())
    return HttpResponse(
        prometheus_client.generate_latest(registry) + prometheus_client.generate_latest(work),
        content_type=prometheus_client.CONTENT_TYPE_LATEST,
    )


def _has_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given.encode(), wanted.encode())


def _from_this_machine(request: HttpRequest) -> bool:
    """A proxy on this machine brings the whole world along; it says so in a header."""
    if settings.TRUSTED_PROXY_COUNT or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


# --- Caught mail, in development --------------------------------------------------------------------------------------


def _mail_directory(request: HttpRequest) -> Path:
    if settings.PRODUCTION or not settings.EMAIL_IS_CAUGHT or not _from_this_machine(request):
        raise Http404
    directory: Path = settings.VAR_DIR / "mail"
    return directory


@require_safe
@never_cache
@login_not_required
def caught_mails(request: HttpRequest) -> HttpResponse:
    files = sorted(_mail_directory(request).glob("*.eml"), reverse=True)[:100]
    return render(request, "ops/mails.html", {"mails": [(file.name, _parse(file)) for file in files]})


@require_safe
@never_cache
@login_not_required
def caught_mail(request: HttpRequest, name: str) -> HttpResponseBase:
    """One mail's text, or with `?raw` the whole of it."""
    file = _mail_directory(request) / Path(name).name
    if file.suffix != ".eml" or not file.is_file():
        raise Http404
    if "raw" in request.GET:
        return FileResponse(file.open("rb"), content_type="message/rfc822")

    mail = _parse(file)
    body = mail.get_body(("plain", "html"))
    return render(
        request, "ops/mail.html", {"name": file.name, "mail": mail, "body": body.get_content() if body else ""}
    )


def _parse(file: Path) -> EmailMessage:
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    if not isinstance(mail, EmailMessage):
        raise TypeError
    return mail
