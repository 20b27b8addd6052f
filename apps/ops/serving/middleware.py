"""What holds for every request: an id, a limit of the body, an answer that nobody keeps, and who acts."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from apps.core import audit
from apps.ops.serving.charsets import NOT_UNDERSTOOD
from apps.ops.serving.request_ids import request_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def request_id_middleware(get_response: GetResponse) -> GetResponse:
    """Give each request an id and answer with it.

    django_structlog reads it from the request and writes it into each line of the log.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        # Not by `request.headers`, which is a copy of META that is made when it is first read.
        name = request.META["HTTP_X_REQUEST_ID"] = request_id(request.META)
        response = get_response(request)
        response.headers["X-Request-Id"] = name
        return response

    return middleware


class CompressionMiddleware(GZipMiddleware):
    """Compresses what programs ask of the API, and nothing that a browser asks for with its cookie.

    An answer that holds a secret beside what somebody else wrote tells of the secret by its compressed length (the
    attack is called BREACH). It needs a browser that sends requests with its cookie, so these are never compressed.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not request.path.startswith("/api/") or settings.SESSION_COOKIE_NAME in request.COOKIES:
            return response
        return super().process_response(request, response)


# Pages use no camera, place or sensor; passkeys and a full screen are all that they ask of the browser. Nothing of this
# site is for pages of other sites.
_UNUSED: Final = (
    *("accelerometer", "bluetooth", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer"),
    *("microphone", "midi", "payment", "serial", "usb"),
)
_USED: Final = ("fullscreen", "publickey-credentials-create", "publickey-credentials-get")
_SAFETY: Final = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join([f"{name}=()" for name in _UNUSED] + [f"{name}=(self)" for name in _USED]),
}


def safety_headers_middleware(get_response: GetResponse) -> GetResponse:
    """Tell browsers what no page of ours asks for, and who may load what we answer. Django writes the other headers."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for name, value in _SAFETY.items():
            response.headers.setdefault(name, value)
        return response

    return middleware


def body_limit_middleware(get_response: GetResponse) -> GetResponse:
    """Raise `RequestDataTooBig` for a body above the limit of its kind.

    Django applies its limit only to bodies that it parses itself, and DRF's parsers read the stream without it. A body
    of unknown length needs no check, because WSGI reads it as empty.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        # Files are spooled to disk and have a limit of their own; every other body is held in memory.
        is_upload = (request.content_type or "").startswith("multipart/")
        most = settings.UPLOAD_MAX_BYTES if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if not length.isdigit() or int(length) > most:
            raise RequestDataTooBig(f"The body has more than {most} bytes.")
        return get_response(request)

    return middleware


def charset_middleware(get_response: GetResponse) -> GetResponse:
    """Raise `BadRequest` for a request whose charset `understands_charset` has replaced."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.content_params and request.content_params.get("charset") == NOT_UNDERSTOOD:
            raise BadRequest("The type of the body, or its charset, is not understood.")
        return get_response(request)

    return middleware


def actor_middleware(get_response: GetResponse) -> GetResponse:
    """Tell the triggers that write the audit trail which user acts. Stands after the authentication."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with connection.execute_wrapper(audit.names_actor(lambda: request.user)):
            return get_response(request)

    return middleware


def no_store_middleware(get_response: GetResponse) -> GetResponse:
    """Have no browser and no proxy keep an answer that does not say itself that it may be kept.

    Nearly every page shows a contact or who is logged in. On a ward computer the next person would see it with Back,
    and without an entry in the audit trail. A page that is added later is safe without a thought.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "public" not in response.get("Cache-Control", ""):
            response["Cache-Control"] = "no-store"
        return response

    return middleware
