"""Copies of what everybody may see, kept by each process for as long as the answer itself allows."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, set_response_etag
from django.utils.translation import get_language

GetResponse = Callable[[HttpRequest], HttpResponseBase]

MOST: Final = 500  # copies of some 20 kB
RENEWAL_SECONDS: Final = 5

# What a reader may bring and still be like all others. Whoever was logged in lately may have a message to read.
_HARMLESS: Final = {settings.LANGUAGE_COOKIE_NAME, settings.CSRF_COOKIE_NAME}


class Copy(NamedTuple):
    """An answer, when it is to be made anew, and until when it may be shown meanwhile."""

    body: bytes
    headers: dict[str, str]
    fresh_until: float
    shown_until: float


def copies_middleware(get_response: GetResponse) -> GetResponse:
    """Answer strangers from a copy, before anything asks who they are.

    An answer is kept if it says `stale-while-revalidate` (RFC 5861) and sets no cookie: by the address and the
    language, as a proxy would keep it. When it is too old, one reader has it made anew and all others are shown the
    old one.

    Stands after what chooses the language, and before sessions.
    """
    copies: dict[tuple[str, str | None], Copy] = {}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method != "GET" or request.COOKIES.keys() - _HARMLESS or "HTTP_AUTHORIZATION" in request.META:
            return get_response(request)
        name, now = (request.build_absolute_uri(), get_language()), time.monotonic()
        copy = copies.get(name)
        if copy is None or now >= copy.fresh_until:
            # If making it anew fails, or takes too long, the next reader after that tries again.
            if copy is not None and now < copy.shown_until:
                copies[name] = copy._replace(fresh_until=now + RENEWAL_SECONDS)
            response = get_response(request)
            copy = _copy_of(response, now)
            if copy is None:
                return response
            if len(copies) >= MOST:
                copies.clear()
            copies[name] = copy
        answer = HttpResponse(copy.body, headers=copy.headers)
        return get_conditional_response(request, etag=copy.headers["ETag"], response=answer) or answer

    return middleware


def _copy_of(response: HttpResponseBase, now: float) -> Copy | None:
    said = dict(part.strip().partition("=")[::2] for part in response.get("Cache-Control", "").split(","))
    if "stale-while-revalidate" not in said or response.cookies or not isinstance(response, HttpResponse):
        return None
    set_response_etag(response)
    # How often the reader asked who had it made is nothing to the others.
    headers = {name: value for name, value in response.items() if not name.startswith("RateLimit")}
    fresh_until = now + int(said["max-age"])
    return Copy(response.content, headers, fresh_until, fresh_until + int(said["stale-while-revalidate"]))
