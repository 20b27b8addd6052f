"""Long lists page by the key of the last row: as fast on the last page as on the first, and nothing is shown twice."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from apps.matching.models import Match

SIZE: Final = 25
PARAMETER: Final = "after"

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Slice(Generic[Row]):
    """One page of a list: its rows, where the next begins, and whether this is not the first."""

    rows: list[Row]
    next_url: str
    first_url: str

    def __bool__(self) -> bool:
        return bool(self.rows)


def newest_first(
    request: HttpRequest,
    rows: QuerySet[Row],
    *,
    size: int = SIZE,
    parameter: str = PARAMETER,
    shown: QuerySet[Row] | None = None,
) -> Slice[Row]:
    """A page by descending key; whatever else stands in the address stays there.

    With `shown`, `rows` only gives the keys of the page, and its rows come from there: what is joined to show a row is
    not joined to find it.
    """
    raw = request.GET.get(parameter, "")
    # Whatever somebody types into the address is no cursor, not an error.
    after = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else None
    if after is not None:
        rows = rows.filter(pk__lt=after)
    # One row more than is shown tells whether there is a next page, without a count over the whole list.
    page = rows.order_by("-pk")
    if shown is not None:
        page = shown.filter(pk__in=list(page.values_list("pk", flat=True)[: size + 1])).order_by("-pk")
    found = list(page[: size + 1])
    on_page = found[:size]
    return Slice(
        rows=on_page,
        next_url=_url(request, parameter, str(on_page[-1].pk)) if len(found) > size else "",
        first_url=_url(request, parameter, None) if after is not None else "",
    )


def soonest_first(
    request: HttpRequest, matches: QuerySet[Match], *, size: int = SIZE, parameter: str = PARAMETER
) -> Slice[Match]:
    """A page of requests by the time to answer; the cursor is the key of the last one shown."""
    raw = request.GET.get(parameter, "")
    if raw.isascii() and raw.isdigit() and len(raw) < 19:
        last = Match.objects.filter(pk=int(raw)).values_list("respond_by", flat=True).first()
        if last is not None:
            # Ties by key, or requests that are due at the same second would be shown twice or never.
            matches = matches.filter(Q(respond_by__gt=last) | Q(respond_by=last, pk__gt=int(raw)))
    found = list(matches.order_by("respond_by", "pk")[: size + 1])
    shown = found[:size]
    return Slice(
        rows=shown,
        next_url=_url(request, parameter, str(shown[-1].pk)) if len(found) > size else "",
        first_url=_url(request, parameter, None) if raw else "",
    )


def _url(request: HttpRequest, parameter: str, value: str | None) -> str:
    query = request.GET.copy()
    query.pop(parameter, None)
    if value is not None:
        query[parameter] = value
    return f"?{query.urlencode()}"
