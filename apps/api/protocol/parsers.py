"""What comes in as JSON."""

import io
import re
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

# A post of 200 lines with 20 members each has a fifth of it.
MOST_MEMBERS: Final = 20_000
MOST_DEPTH: Final = 20
# The possessive quantifiers and the end of the text make it linear: a quote that is never closed is read once.
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_STRUCTURE: Final = re.compile(r"[^][{}]+")


class StrictJsonParser(JSONParser):
    """JSON as RFC 8259 has it, with as many members and as deep as a person could mean."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        data = stream.read()
        # Before it is parsed: 2.5 MB of `0,` become a million objects, each of which is checked.
        check(data.decode(encoding, "replace"))
        try:
            return super().parse(io.BytesIO(data), media_type, parser_context)
        except RecursionError as error:
            raise ParseError(_("This JSON is nested too deeply."), code="too_complex") from error


def check(text: str) -> None:
    """Raise `ParseError` (`too_complex`) for JSON with too many members, or too deep, without parsing it."""
    bare = _STRING.sub("", text)
    if sum(map(bare.count, ",[{")) > MOST_MEMBERS:
        raise ParseError(_("This JSON has too many members."), code="too_complex")
    depth = 0
    for sign in _NOT_STRUCTURE.sub("", bare):
        depth += 1 if sign in "[{" else -1
        if depth < 0:
            return  # it is not JSON, which the parser says at once
        if depth > MOST_DEPTH:
            raise ParseError(_("This JSON is nested too deeply."), code="too_complex")
