"""The id of a request: in its answer, and in each line of the log."""

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

# An id of a caller's own that can stand in a log: no spaces, no line breaks, not long.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")


def request_id(environ: Mapping[str, Any]) -> str:
    """The caller's `X-Request-Id` if it can be one, else a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
