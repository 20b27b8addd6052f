"""Turns away what is too large before anybody reads it."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.http.response import HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def body_limit_middleware(get_response: GetResponse) -> GetResponse:
    """Django counts what it reads itself; DRF's parsers read around it. A body of unknown length is read as empty."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        is_upload = (request.content_type or "").startswith("multipart/")
        most = settings.UPLOAD_MAX_BYTES if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if not length.isdigit() or int(length) > most:
            raise RequestDataTooBig(f"The body has more than {most} bytes.")
        return get_response(request)

    return middleware
