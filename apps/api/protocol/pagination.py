"""Pages by cursor (keyset pagination).

A cursor holds the last value of a unique, indexed column. So a page is one range of the index, however far in it lies,
rows that are added meanwhile shift nothing, and nothing is ever counted.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from apps.core.models import first_keys

M = TypeVar("M", bound=Model)

DEFAULT_SIZE: Final = 100
LARGEST: Final = 500
# The query parameters of every list.
PARAMETERS: Final = ("page_size", "cursor")
# What no column of PostgreSQL holds: NUL, and half of a pair of surrogates.
_NOT_STORED: Final = re.compile("[\0\ud800-\udfff]")


class CursorPage(BasePagination):
    """`{"next", "previous", "results"}`, ordered by one unique column: by id, newest first, or by code."""

    column = "pk"
    newest_first = True
    kind: type[int | str] = int

    def answer(
        self, request: Request, queryset: QuerySet[M], read: Callable[[QuerySet[M]], list[tuple[Any, dict[str, Any]]]]
    ) -> dict[str, Any]:
        """The page that the query asks for. `read` gives rows as (value of the column, what is shown)."""
        size = page_size(request)
        backwards, position = self._cursor(request)
        # Backwards, the rows nearest to the cursor come first, and are put into their order afterwards.
        descending = self.newest_first != backwards
        if position is not None:
            queryset = queryset.filter(**{f"{self.column}__{'lt' if descending else 'gt'}": position})
        # One row more than the page has tells whether another page follows.
        queryset = queryset.order_by(f"{'-' if descending else ''}{self.column}")
        keys = first_keys(queryset, size + 1) if getattr(queryset, "either", ()) else None
        rows = read(queryset[: size + 1] if keys is None else queryset.filter(pk__in=keys))

        more, rows = len(rows) > size, rows[:size]
        if backwards:
            rows.reverse()
        # A page that was reached backwards is followed by the page that its cursor came from.
        has_next = bool(rows) and (more or backwards)
        has_previous = bool(rows) and (more if backwards else position is not None)
        return {
            "next": self._link(request, "n", rows[-1][0]) if has_next else None,
            "previous": self._link(request, "p", rows[0][0]) if has_previous else None,
            "results": [row for _value, row in rows],
        }

    def _cursor(self, request: Request) -> tuple[bool, Any]:
        """Whether to go backwards, and from which value; (False, None) for the first page.

        A client may send anything, so type and range are checked before the database sees the value.
        """
        text = request.query_params.get("cursor")
        if not text:
            return False, None
        try:
            way, value = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        except (ValueError, TypeError, binascii.Error, UnicodeError, RecursionError):
            way, value = None, None
        # `type(…) is`, because `true` would pass as an integer. Integers must fit a bigint.
        good = way in {"n", "p"} and type(value) is self.kind
        if (
            not good
            or (isinstance(value, int) and not 0 <= value < 2**63)
            or (isinstance(value, str) and _NOT_STORED.search(value))
        ):
            raise ValidationError({"cursor": [_("Take the cursor from “next” or “previous” of a page.")]})
        return way == "p", value

    @staticmethod
    def _link(request: Request, way: str, value: Any) -> str:
        cursor = base64.urlsafe_b64encode(json.dumps([way, value]).encode()).decode()
        return replace_query_param(request.build_absolute_uri(), "cursor", cursor)

    def get_schema_operation_parameters(self, _view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "description": f"Rows per page, {DEFAULT_SIZE} unless said otherwise.",
                "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST},
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "From the links `next` and `previous`.",
                "schema": {"type": "string"},
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


class CursorPageByCode(CursorPage):
    """Pages in the order of codes."""

    column = "code"
    newest_first = False
    kind = str


class CursorPageByKey(CursorPageByCode):
    """Pages in the order of keys."""

    column = "key"


def page_size(request: Request) -> int:
    """How many rows a page has: 1 to 500. Raises `ValidationError` for anything else."""
    text = request.query_params.get("page_size")
    if text is None:
        return DEFAULT_SIZE
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= LARGEST):
        raise ValidationError({"page_size": [_("A page has from 1 to %(most)s rows.") % {"most": LARGEST}]})
    return int(text)
