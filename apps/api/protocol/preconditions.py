"""Changes that hold only for the row as the caller read it: `ETag` of a row, and `If-Match` (RFC 9110).

Two programs of one organisation may change the same row. With `If-Match` the second one is told so, instead of undoing
what it has not read.
"""

import datetime as dt
from typing import Final

from django.db.models import Model
from django.utils.http import parse_etags
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, status
from rest_framework.request import Request

from apps.core.models import TimeStamped

IF_MATCH: Final = "If-Match"


class PreconditionFailedError(exceptions.APIException):
    """The row has changed since the caller read it."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = gettext_lazy("This was changed since you read it. Read it again, then decide.")


def etag(updated_at: dt.datetime) -> str:
    """The tag of a row in the state that it had at its last change."""
    return f'"{updated_at.astimezone(dt.UTC).isoformat(timespec="microseconds")}"'


def check(request: Request, row: Model) -> None:
    """Raise `PreconditionFailedError` if the request is for another state of the row. Otherwise it stays in this one.

    Call it in the transaction of the change. A row without a time of its last change passes.
    """
    wanted = request.headers.get(IF_MATCH)
    if wanted is None or wanted.strip() == "*" or not isinstance(row, TimeStamped):
        return
    # The lock keeps the row as it is until the transaction ends.
    rows = type(row)._default_manager.select_for_update(of=("self",), no_key=True)
    updated_at = rows.values_list("updated_at", flat=True).get(pk=row.pk)
    # A tag comes back weak (`W/`) when the answer that brought it was compressed. It names the same state.
    if etag(updated_at) not in {tag.removeprefix("W/") for tag in parse_etags(wanted)}:
        raise PreconditionFailedError
