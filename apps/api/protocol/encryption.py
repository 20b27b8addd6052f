"""Programs that call without encryption."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from apps.api.protocol.problems import plain


def encryption_middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Refuse a call of the API over plain HTTP where the site has HTTPS.

    A redirect would work, so nobody would notice that each call sends its token in the clear first.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if settings.SECURE_SSL_REDIRECT and request.path.startswith("/api/") and not request.is_secure():
            return plain(403, "https_required", _("Call with https://, and make a new token: this one was readable."))
        return get_response(request)

    return middleware
