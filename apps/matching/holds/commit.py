"""Committing holds: one call of the database admits, writes and counts all holds of a plan, or a single one.

A hold is admitted while need and offer are as they were decided upon and it fits into what is left behind the holds
before it in the plan. It becomes a match, a new one or that of a backup. Both sides are counted by what was written.
Nothing leaves the database between looking and writing, and the constraints of both tables stand behind it.

The functions stand in `sql/`, over a view of each app of what it has open. Functions, because their plans are made once
for a connection; the offers that many want are taken last (docs/decisions/0017-a-plan-is-one-call.md).
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from django.db import connection

from apps.matching.models.reasons import packed


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldRequest:
    """A hold that is to be: all that its match will say.

    `requested_at` of the need and `confirmed_at` of the offer are as they were when this was decided: whoever amends a
    need asks anew, and whoever amends an offer confirms it.
    """

    need_id: int
    offer_id: int
    requested_at: dt.datetime | None
    confirmed_at: dt.datetime | None
    quantity: int
    rank: int
    score: float
    terms: list[dict[str, Any]]
    policy_version: int
    is_substitute: bool
    tier: int
    respond_by: dt.datetime


# The columns of a match that are copied from the request as they are.
KEPT: Final = ("quantity", "rank", "score", "terms", "policy_version", "is_substitute", "tier", "respond_by")

_FACTS: Final = tuple(field.name for field in fields(HoldRequest))

# Arguments by name: a reader need not count them, and two of the same type cannot be mixed up.
COMMIT: Final = """
    SELECT need_id, offer_id, match_id
    FROM matching_hold(requests => %(requests)s::jsonb, needs => %(needs)s, offers => %(offers)s)
"""
COMMIT_ONE: Final = "SELECT matching_hold_one(requested => %(requested)s::jsonb) AS match_id"


def commit_holds(requests: Sequence[HoldRequest]) -> dict[tuple[int, int], int]:
    """Hold all that can still be held, in the order given, in the caller's transaction. Each pair stands once.

    Returns the keys of the matches by (need id, offer id); what is missing went meanwhile. Needs and offers stay locked
    until the end of the transaction.
    """
    with connection.cursor() as cursor:
        if len(requests) != 1:
            cursor.execute(COMMIT, parameters(requests))
            return {(need, offer): match for need, offer, match in cursor.fetchall()}

        # A single hold needs no sums over a plan, so its function is shorter and quicker.
        [request] = requests
        cursor.execute(COMMIT_ONE, parameters_of_one(request))
        [match] = cursor.fetchone()
        return {} if match is None else {(request.need_id, request.offer_id): match}


def parameters(requests: Sequence[HoldRequest]) -> dict[str, Any]:
    """What `matching_hold` takes: the requests as one document, and the keys of the rows that they are about.

    A list for each column would take psycopg longer to write than PostgreSQL to commit.
    """
    return {
        "requests": _json([_row(request) | {"position": position} for position, request in enumerate(requests)]),
        "needs": sorted({request.need_id for request in requests}),
        "offers": sorted({request.offer_id for request in requests}),
    }


def parameters_of_one(request: HoldRequest) -> dict[str, Any]:
    """What `matching_hold_one` takes."""
    return {"requested": _json(_row(request))}


def _row(request: HoldRequest) -> dict[str, Any]:
    """A request as a row of `matching_hold_request`, by the names of its columns."""
    # `terms` are text within the document, as they are in the row.
    return {name: getattr(request, name) for name in _FACTS} | {"terms": packed(request.terms)}


def _json(value: Any) -> str:
    """Times to the microsecond, unlike Django's own: those of need and offer are compared."""
    return json.dumps(value, ensure_ascii=False, default=dt.datetime.isoformat)
