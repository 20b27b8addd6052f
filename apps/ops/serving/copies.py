"""Copies of what everybody may see, kept by each process for as long as the answer itself allows.

They stand around Django: for who gets one, no request object is made and no middleware is passed.
"""

import gzip
import time
from collections.abc import Iterable
from hashlib import md5
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.middleware.gzip import re_accepts_gzip
from django.utils.http import parse_etags, quote_etag
from django.utils.translation import get_language_from_request
from django_prometheus.middleware import Metrics

from apps.ops.serving.charsets import Application
from apps.ops.serving.request_ids import request_id

MOST: Final = 500  # copies of some 20 kB
RENEWAL_SECONDS: Final = 5
AT_HAND: Final = "cosmomatch.copy"
"""The key of the environment by which the web server hands over what it found `at_hand`."""

Name = tuple[object, ...]
Headers = list[tuple[str, str]]


class Copy(NamedTuple):
    """An answer as Django gave it, when it is to be made anew, and until when it may be shown meanwhile."""

    headers: Headers
    body: bytes
    etag: str
    fresh_until: float
    shown_until: float

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        own = ("X-Request-Id", request_id(environ))
        if "HTTP_IF_NONE_MATCH" in environ and _is_known(self.etag, environ["HTTP_IF_NONE_MATCH"]):
            about_no_body = [each for each in self.headers if not each[0].startswith("Content-")]
            start_response("304 Not Modified", [*about_no_body, own])
            return []
        start_response("200 OK", [*self.headers, own])
        return [self.body] if environ["REQUEST_METHOD"] == "GET" else []


class AnswersFromCopies:
    """The application, asked only for what no copy answers.

    An answer is kept if it says `stale-while-revalidate` (RFC 5861) and sets no cookie: by all that it depends on, as a
    proxy would keep it. When it is too old, one reader has it made anew and all others are shown the old one.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.copies: dict[Name, Copy] = {}
        self.metrics = Metrics.get_instance()  # type: ignore[no-untyped-call]  # the library's

    def at_hand(self, environ: dict[str, Any]) -> Copy | None:
        """What answers this request at once, so that the web server needs no thread for it."""
        name = _name(environ)
        copy = self.copies.get(name) if name else None
        return copy if copy is not None and time.monotonic() < copy.fresh_until else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        began = time.perf_counter()
        copy = environ.get(AT_HAND) or self.at_hand(environ)
        if copy is None:
            return self._made(environ, start_response)
        answer: list[bytes] = copy.answer(environ, start_response)
        # As the middleware of django_prometheus counts.
        self.metrics.requests_total.inc()
        self.metrics.responses_total.inc()
        self.metrics.requests_latency_before.observe(time.perf_counter() - began)
        return answer

    def _made(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name, now = _name(environ), time.monotonic()
        if name is None or environ["REQUEST_METHOD"] == "HEAD":
            return self.application(environ, start_response)
        # If making it anew fails, or takes too long, the next reader after that tries again.
        copy = self.copies.get(name)
        if copy is not None and now < copy.shown_until:
            self.copies[name] = copy._replace(fresh_until=now + RENEWAL_SECONDS)
        given: list[tuple[str, Headers]] = []
        answer = self.application(environ, lambda *status_and_headers: given.append(status_and_headers))
        [(status, headers)] = given
        copy = _copy_of(status, headers, answer, now)
        if copy is None:
            start_response(status, headers)
            return answer
        if len(self.copies) >= MOST:
            self.copies.clear()
        self.copies[name] = copy
        return copy.answer(environ, start_response)


def _name(environ: dict[str, Any]) -> Name | None:
    """All that an answer to strangers depends on; None for whoever may be answered otherwise than all strangers.

    Django believes a host and a scheme or refuses them, so they stand here as they came.
    """
    if environ["REQUEST_METHOD"] not in {"GET", "HEAD"} or environ.get("CONTENT_TYPE") or environ.get("CONTENT_LENGTH"):
        return None
    request = HttpRequest()
    request.META = environ
    request.COOKIES = parse_cookie(environ["HTTP_COOKIE"]) if "HTTP_COOKIE" in environ else {}
    # Whoever was logged in lately may have a message to read.
    is_stranger = request.COOKIES.keys() <= {settings.LANGUAGE_COOKIE_NAME, settings.CSRF_COOKIE_NAME}
    if not is_stranger or "HTTP_AUTHORIZATION" in environ:
        return None
    return (
        environ.get("HTTP_HOST"),
        environ["PATH_INFO"],
        environ.get("QUERY_STRING"),
        environ["wsgi.url_scheme"],
        environ.get("HTTP_X_FORWARDED_PROTO"),
        get_language_from_request(request),
        bool(re_accepts_gzip.search(environ.get("HTTP_ACCEPT_ENCODING", ""))),
    )


def _copy_of(status: str, headers: Headers, answer: Iterable[bytes], now: float) -> Copy | None:
    by_name = dict(headers)
    said = dict(part.strip().partition("=")[::2] for part in by_name.get("Cache-Control", "").split(","))
    if status != "200 OK" or "stale-while-revalidate" not in said or "Set-Cookie" in by_name:
        return None
    body = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]  # Django's answers have it, and it ends the request
    is_compressed = by_name.get("Content-Encoding") == "gzip"
    # Of what was compressed: Django fills up the compressed form with random bytes.
    etag = quote_etag(md5(gzip.decompress(body) if is_compressed else body, usedforsecurity=False).hexdigest())
    etag = f"W/{etag}" if is_compressed else etag
    # How often the reader asked who had it made is nothing to the others, and each has an id.
    shared = [each for each in headers if not each[0].startswith(("RateLimit", "X-Request-Id"))]
    fresh_until = now + int(said["max-age"])
    shown_until = fresh_until + int(said["stale-while-revalidate"])
    return Copy([*shared, ("ETag", etag)], body, etag, fresh_until, shown_until)


def _is_known(etag: str, given: str) -> bool:
    """Whether the reader has what this names: the weak comparison of RFC 9110, section 13.1.2."""
    tags = {tag.removeprefix("W/") for tag in parse_etags(given)}
    return etag.removeprefix("W/") in tags or "*" in tags
