"""Problem documents (RFC 9457): the form of every answer that is not a success, whether we or Django found the fault.

Codes are stable and for programs. Texts are for people, in the language of the request.
"""

import errno
import math
import sys
from collections.abc import Mapping
from typing import Any, Final

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.template import loader
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults
from psycopg import errors as postgres
from redis.exceptions import RedisError
from rest_framework import exceptions, status
from rest_framework.response import Response

from apps.core.errors import RuleViolation

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

# Seconds after which something that is away is likely back.
RETRY_AFTER: Final = 5
# The same of a limit that counts by the day.
LIMIT_OF_A_DAY: Final = 3_600

TITLES: Final = {
    400: gettext_lazy("The request is not valid"),
    401: gettext_lazy("Log in first"),
    403: gettext_lazy("Not allowed"),
    404: gettext_lazy("Not found"),
    405: gettext_lazy("This method is not possible here"),
    406: gettext_lazy("This form of answer is not available"),
    409: gettext_lazy("Not possible in the current state"),
    410: gettext_lazy("Not kept any more"),
    411: gettext_lazy("The length is missing"),
    412: gettext_lazy("It is not as you read it"),
    413: gettext_lazy("The request is too large"),
    415: gettext_lazy("This form of request is not understood"),
    429: gettext_lazy("Too many requests"),
    500: gettext_lazy("Server error"),
    503: gettext_lazy("Temporarily unavailable"),
}


class NotAllowedError(exceptions.PermissionDenied):
    """The caller may see it, but may not do this with it."""

    default_code = "not_allowed"
    default_detail = gettext_lazy("You may see this, but not do this.")


class LengthRequiredError(exceptions.APIException):
    """A body of unknown length would be taken for an empty one."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = gettext_lazy("Say how long the request is: send a Content-Length.")


class UnavailableError(exceptions.APIException):
    """The database, Redis or a disk is away, full or read-only, or took too long. The answer says when to try again."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = gettext_lazy("Try again in a moment.")


def document(
    status_code: int, code: str, detail: Any, errors: Mapping[str, list[Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """The members of a problem document.

    `more` are facts for programs, such as how much is left. A fact with the name of a standard member is dropped.
    """
    problem: dict[str, Any] = {
        "type": f"urn:cosmomatch:problem:{code}",
        "title": str(TITLES.get(status_code, TITLES[400])),
        "status": status_code,
        "detail": _text(detail),
        "code": code,
    }
    if errors:
        problem["errors"] = {_text(name): [_text(message) for message in texts] for name, texts in errors.items()}
    return {**{name: value for name, value in more.items() if name not in problem}, **problem}


def _text(value: Any) -> str:
    """The text as it can be sent. A message may quote the request, and half a surrogate pair is no valid UTF-8."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def handle(error: Exception, _context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None for an error of our own, which then becomes a 500 (`server_error`)."""
    if isinstance(error, RuleViolation):
        body = document(error.status, error.code, error.message, error.errors, **error.params)
        response = _respond(body)
        if error.status == status.HTTP_429_TOO_MANY_REQUESTS:
            response["Retry-After"] = str(LIMIT_OF_A_DAY)
        if error.status == status.HTTP_503_SERVICE_UNAVAILABLE:
            response["Retry-After"] = str(RETRY_AFTER)
        return response
    # Before the other exceptions of DRF: this one has many messages, by field.
    if isinstance(error, exceptions.ValidationError):
        return _respond(document(400, "invalid", _("Some of the information is not valid."), flatten(error.detail)))

    error = _translated(error)
    if not isinstance(error, exceptions.APIException):
        return None

    code = error.get_codes()
    response = _respond(
        document(
            error.status_code,
            "not_allowed" if code == "permission_denied" else str(code),
            error.detail,
            **getattr(error, "params", {}),
        )
    )
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    if isinstance(error, exceptions.Throttled):
        response["Retry-After"] = str(math.ceil(getattr(error, "wait", None) or 1))
    if isinstance(error, UnavailableError):
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def _translated(error: Exception) -> Exception:
    """Django's exceptions as DRF's."""
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return NotAllowedError()
    if isinstance(error, SuspiciousOperation | UnreadablePostError):
        return exceptions.ParseError(_("The request is too large or malformed."))
    return UnavailableError() if passes(error) else error


def passes(error: BaseException | None) -> bool:
    """Whether it is no fault of the program: something is away, full, read-only or too slow, and will come back."""
    if isinstance(error, InternalError):
        found = isinstance(error.__cause__, postgres.ReadOnlySqlTransaction | postgres.IdleInTransactionSessionTimeout)
    elif isinstance(error, OSError):
        found = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
    else:
        found = isinstance(error, OperationalError | InterfaceError | RedisError)
    if found:
        log.warning("unavailable", error=str(error), kind=type(error).__name__)
    return found


def _respond(body: dict[str, Any]) -> Response:
    return Response(body, status=body["status"], content_type=MEDIA_TYPE)


def flatten(detail: Any, prefix: str = "") -> dict[str, list[Any]]:
    """DRF's nested errors as `{"1.quantity": [messages]}`; what concerns the whole stands under `body`."""
    if isinstance(detail, dict):
        flat: dict[str, list[Any]] = {}
        for name, inner in detail.items():
            # DRF's name for what concerns the whole object.
            key = prefix if name == "non_field_errors" else f"{prefix}.{name}" if prefix else str(name)
            flat.update(flatten(inner, key))
        return flat
    if isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        flat = {}
        for index, inner in enumerate(detail):
            flat.update(flatten(inner, f"{prefix}.{index}" if prefix else str(index)))
        return flat
    messages = list(detail) if isinstance(detail, list) else [detail]
    return {prefix or "body": messages} if messages else {}


# The handlers that cosmomatch/urls.py names. Django calls them for errors outside of our views, such as an unknown URL.


def _is_ours(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def plain(status_code: int, code: str, detail: Any) -> HttpResponse:
    return JsonResponse(document(status_code, code, detail), status=status_code, content_type=MEDIA_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_ours(request):
        return plain(400, "invalid", _("The request is too large or malformed."))
    return defaults.bad_request(request, exception)


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_ours(request):
        return plain(403, "not_allowed", NotAllowedError.default_detail)
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_ours(request):
        return plain(404, "not_found", _("There is nothing here that you may see."))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if passes(sys.exc_info()[1]):
        answer = (
            plain(503, UnavailableError.default_code, UnavailableError.default_detail)
            if _is_ours(request)
            else HttpResponse(loader.render_to_string("503.html"), status=503)
        )
        answer["Retry-After"] = str(RETRY_AFTER)
        return answer
    if _is_ours(request):
        return plain(500, "error", _("Something went wrong on our side. The error has been recorded."))
    return defaults.server_error(request)
