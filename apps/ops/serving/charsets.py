"""What charset a request may name. It stands around Django, which fails on some before any of its middleware is asked.

Django decodes the address with the charset of the body while it makes the request object. Among those that Python knows
are some that make bytes of bytes (`hex`), that fail whatever comes (`undefined`) or that take quadratic time
(`punycode`).
"""

import codecs
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.utils.http import parse_header_parameters

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

# As Python calls them.
CHARSETS: Final = frozenset(
    {"utf-8", "utf-16", "ascii", "iso8859-1", "cp1252", "gb2312", "gbk", "gb18030", "big5"},
)

NOT_UNDERSTOOD: Final = "not-understood"
"""The charset that a request gets instead of one that is refused. Python does not know it, so Django passes over it."""


def understands_charset(application: Application) -> Application:
    """The application, given no charset that it cannot decode. `charset_middleware` answers such a request with 400."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not _is_understood(environ.get("CONTENT_TYPE", "")):
            environ["CONTENT_TYPE"] = f"application/octet-stream; charset={NOT_UNDERSTOOD}"
        return application(environ, start_response)

    return guarded


def _is_understood(content_type: str) -> bool:
    try:
        _type, parameters = parse_header_parameters(content_type)
    except ValueError:  # a parameter in a charset of its own (RFC 2231)
        return False
    try:
        return codecs.lookup(parameters.get("charset", "utf-8")).name in CHARSETS
    except LookupError:
        return True  # Django takes UTF-8 instead
