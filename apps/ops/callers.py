"""Which callers may see what only an operator of this machine should."""

from ipaddress import ip_address

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
