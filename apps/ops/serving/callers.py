"""Which callers may see what only an operator of this machine should."""

from ipaddress import ip_address

import structlog
from allauth.core.internal.httpkit import get_client_ip
from django.conf import settings
from django.http import HttpRequest


def is_from_this_machine(request: HttpRequest) -> bool:
    """Whether the request was made on this machine.

    Requests that a proxy on this machine passes on come from anywhere. The headers that it adds tell them apart.
    """
    if settings.TRUSTED_PROXY_COUNT or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def note_address(request: HttpRequest, **_more: object) -> None:
    """Write the address of the caller into each line of the log, behind as many proxies as are trusted.

    django_structlog would take what the caller wrote into X-Forwarded-For.
    """
    structlog.contextvars.bind_contextvars(ip=get_client_ip(request))
