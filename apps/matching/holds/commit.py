"""Committing holds: one call of the database admits, writes and counts all holds of a plan, or a single one.

A hold is admitted while need and offer are as they were decided upon and it fits into what is left behind the holds
before it in the plan; it becomes a match, new or of one that was next best; and both sides are counted by what was
written. Nothing leaves the database between looking and writing, and the constraints of both tables stand behind it.
The functions are in migrations (`0050_commit_holds`), over a view of each app of what it has open: their plans are made
once for a connection, and the offers that many want are taken last.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from django.db import connection


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


# What a match takes over as it was asked.
KEPT: Final = ("quantity", "rank", "score", "terms", "policy_version", "is_substitute", "tier", "respond_by")

_ASKED: Final = tuple(field.name for field in fields(HoldRequest))

COMMIT: Final = "SELECT need_id, offer_id, match_id FROM matching_hold(%(asks)s::jsonb, %(needs)s, %(offers)s)"
COMMIT_ONE: Final = f"SELECT matching_hold_one(({', '.join(f'%({name})s' for name in _ASKED)})::matching_ask)"


def commit_holds(asks: Sequence[HoldRequest]) -> dict[tuple[int, int], int]:
    """Hold all that can still be held, in the order given, in the caller's transaction. Each pair stands once.

    Returns the keys of the matches by (need id, offer id); what is missing went meanwhile. Needs and offers stay locked
    until the end of the transaction.
    """
    with connection.cursor() as cursor:
        if len(asks) != 1:
            cursor.execute(COMMIT, parameters(asks))
            return {(need, offer): match for need, offer, match in cursor.fetchall()}

        [ask] = asks
        cursor.execute(COMMIT_ONE, parameters_of_one(ask))
        [match] = cursor.fetchone()
        return {} if match is None else {(ask.need_id, ask.offer_id): match}


def parameters(asks: Sequence[HoldRequest]) -> dict[str, Any]:
    """What the function for a plan takes: the asks as one document, and the keys of the rows that they are about.

    A list for each column would take psycopg longer to write than PostgreSQL to commit.
    """
    return {
        "asks": _json([_row(ask) for ask in asks]),
        "needs": sorted({ask.need_id for ask in asks}),
        "offers": sorted({ask.offer_id for ask in asks}),
    }


def parameters_of_one(ask: HoldRequest) -> dict[str, Any]:
    """What the function for a single ask takes."""
    return _row(ask)


def _row(ask: HoldRequest) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in _ASKED} | {"terms": _json(ask.terms)}


def _json(value: Any) -> str:
    """Times to the microsecond, unlike Django's own: those of need and offer are compared."""
    return json.dumps(value, ensure_ascii=False, default=dt.datetime.isoformat)
