"""Long lists page by the key of the last row: as fast on the last page as on the first, and nothing is shown twice."""

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.db.models import F, Model, Q, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan
from django.http import HttpRequest

from apps.core.models import first_keys

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


def newest_first(request: HttpRequest, rows: QuerySet[Row], *, shown: QuerySet[Row] | None = None) -> Slice[Row]:
    """A page by descending key (`in_order`)."""
    return in_order(request, rows.order_by("-pk"), shown=shown)


def in_order(
    request: HttpRequest,
    rows: QuerySet[Row],
    *,
    size: int = SIZE,
    parameter: str = PARAMETER,
    shown: QuerySet[Row] | None = None,
) -> Slice[Row]:
    """A page in the order of `rows`, which ends with the key; whatever else stands in the address stays there.

    `shown`: see `first_of`.
    """
    raw = request.GET.get(parameter, "")
    # Whatever somebody types into the address is no cursor, not an error.
    after = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else None
    if after is not None:
        rows = rows.filter(_beyond(rows, after))
    # One row more than is shown tells whether there is a next page, without a count over the whole list.
    found = first_of(rows, size + 1, shown)
    on_page = found[:size]
    return Slice(
        rows=on_page,
        next_url=_url(request, parameter, str(on_page[-1].pk)) if len(found) > size else "",
        first_url=_url(request, parameter, None) if after is not None else "",
    )


def first_of(rows: QuerySet[Row], number: int, shown: QuerySet[Row] | None = None) -> list[Row]:
    """The first rows. With `shown`, `rows` only gives their keys, and they come from there: what is joined to show a
    row is not joined to find it.
    """
    if shown is None and not getattr(rows, "either", ()):
        return list(rows[:number])
    return with_keys(rows if shown is None else shown, first_keys(rows, number))


def with_keys(shown: QuerySet[Row], keys: list[Any]) -> list[Row]:
    """The rows with these keys, in this order, without those that went meanwhile."""
    found = shown.in_bulk(keys) if keys else {}
    return [found[key] for key in keys if key in found]


def _beyond(rows: QuerySet[Any], after: int) -> Q:
    """The condition that a row comes later in its order than the one with this key; true of all if that is gone."""
    order = [str(name) for name in rows.query.order_by]
    # Of the key alone nothing has to be looked up.
    last = rows.model(pk=after) if len(order) == 1 else rows.model._default_manager.filter(pk=after).first()
    values = [getattr(last, name.removeprefix("-"), None) for name in order]
    if None in values:
        return Q()
    if len(order) > 2 and not any(name.startswith("-") for name in order):
        # A comparison of rows: the index begins at the very row, however many have the same first values.
        return Q(TupleGreaterThan(Tuple(*(F(name) for name in order)), tuple(values)))
    later = Q()
    for name, value in zip(reversed(order), reversed(values), strict=True):
        field = name.removeprefix("-")
        further = f"{field}__{'lt' if name.startswith('-') else 'gt'}"
        # In this form the index begins at the value: `further` alone, OR the same value, would read all before it.
        later = Q(**{f"{further}e": value}) & (Q(**{further: value}) | later) if later else Q(**{further: value})
    return later


def _url(request: HttpRequest, parameter: str, value: str | None) -> str:
    query = request.GET.copy()
    query.pop(parameter, None)
    if value is not None:
        query[parameter] = value
    return f"?{query.urlencode()}"
