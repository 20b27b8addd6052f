"""Committing holds: one statement admits, writes and counts all holds of a plan, or a single one.

It locks the needs and then the offers, each in the order of their keys, and looks at them as they are then. A hold is
admitted while need and offer are as they were decided upon and it fits into what is left behind the holds before it in
the plan; it becomes a match, new or of one that was next best; and both sides are counted by what was written. Nothing
leaves the database between looking and writing, and the constraints of both tables stand behind it. Each app says what
is done to its own table, in its `quantities.py`.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from apps.demands import quantities as demands_quantities
from apps.supply import quantities as supply_quantities


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
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


# The columns of an ask, and their types in the database.
_ASKED: Final = {
    "need_id": "bigint",
    "offer_id": "bigint",
    "requested_at": "timestamptz",
    "confirmed_at": "timestamptz",
    "quantity": "bigint",
    "rank": "smallint",
    "score": "float8",
    "terms": "jsonb",
    "policy_version": "integer",
    "is_substitute": "boolean",
    "tier": "smallint",
    "respond_by": "timestamptz",
}
# Those that a match takes over as they are.
_KEPT: Final = ("quantity", "rank", "score", "terms", "policy_version", "is_substitute", "tier", "respond_by")


def _statement(asks: str, *, of_need: str, of_offer: str) -> str:
    """`asks` gives the columns of an ask and its place in the plan; `of_need` and `of_offer` say how much it and those
    before it want of the same need and of the same offer.
    """
    return f"""
WITH need AS MATERIALIZED ({demands_quantities.LOCK_FOR_HOLDS}
), offered AS MATERIALIZED ({supply_quantities.LOCK_FOR_HOLDS}
), asked AS (
    SELECT ask.*, need.room AS wanted, offered.room AS free, {of_need} AS of_need, {of_offer} AS of_offer
    FROM {asks}
    JOIN need ON need.id = ask.need_id AND need.is_open AND need.requested_at IS NOT DISTINCT FROM ask.requested_at
    JOIN offered ON offered.id = ask.offer_id AND offered.confirmed_at IS NOT DISTINCT FROM ask.confirmed_at
), written AS (
    INSERT INTO matching_match AS match
        (demand_id, offer_id, quantity_asked, {", ".join(_KEPT)}, state, decline_reason, decline_note)
    SELECT need_id, offer_id, quantity, {", ".join(_KEPT)}, 'held', '', ''
    FROM asked WHERE (wanted IS NULL OR of_need <= wanted) AND of_offer <= free ORDER BY place
    ON CONFLICT (demand_id, offer_id) WHERE state IN ('held', 'standby')
    DO UPDATE SET state = 'held', quantity_asked = excluded.quantity_asked,
                  {", ".join(f"{name} = excluded.{name}" for name in _KEPT)}
    WHERE match.state = 'standby'
    RETURNING id, demand_id, offer_id, quantity
), counted AS ({demands_quantities.COUNT_HOLDS}
), reserved AS ({supply_quantities.COUNT_HOLDS}
)
SELECT demand_id, offer_id, id FROM written"""  # noqa: S608  names of our own columns


COMMIT: Final = _statement(
    "ROWS FROM (jsonb_to_recordset(%(asks)s::jsonb)"
    f" AS ({', '.join(f'{name} {kind}' for name, kind in _ASKED.items())}))"
    f" WITH ORDINALITY AS ask ({', '.join(_ASKED)}, place)",
    of_need="sum(ask.quantity) OVER (PARTITION BY ask.need_id ORDER BY ask.place)",
    of_offer="sum(ask.quantity) OVER (PARTITION BY ask.offer_id ORDER BY ask.place)",
)
# A single ask has none before it and comes as scalars: a fifth less of the backend's time than a list of one.
COMMIT_ONE: Final = _statement(
    f"(SELECT {', '.join(f'%({name})s::{kind} AS {name}' for name, kind in _ASKED.items())}, 1 AS place) AS ask",
    of_need="ask.quantity",
    of_offer="ask.quantity",
)


def commit_holds(asks: Sequence[Ask]) -> dict[tuple[int, int], int]:
    """Hold all that can still be held, in the order given, in the caller's transaction. Each pair stands once.

    Returns the keys of the matches by (need id, offer id); what is missing went meanwhile. Needs and offers stay locked
    until the end of the transaction.
    """
    with connection.cursor() as cursor:
        if len(asks) == 1:
            cursor.execute(COMMIT_ONE, parameters_of_one(asks[0]))
        else:
            cursor.execute(COMMIT, parameters(asks))
        return {(need, offer): match for need, offer, match in cursor.fetchall()}


def parameters(asks: Sequence[Ask]) -> dict[str, Any]:
    """What the statement takes: the asks as one document, and the keys of the rows to lock.

    A list for each column would take psycopg longer to write than PostgreSQL to commit.
    """
    return {
        "asks": _json([{name: getattr(ask, name) for name in _ASKED} for ask in asks]),
        "needs": sorted({ask.need_id for ask in asks}),
        "offers": sorted({ask.offer_id for ask in asks}),
    }


def parameters_of_one(ask: Ask) -> dict[str, Any]:
    """What the statement for a single ask takes."""
    row = {name: getattr(ask, name) for name in _ASKED}
    return {**row, "terms": _json(ask.terms), "needs": [ask.need_id], "offers": [ask.offer_id]}


def _json(value: Any) -> str:
    """Times to the microsecond, unlike Django's own: those of need and offer are compared."""
    return json.dumps(value, ensure_ascii=False, default=dt.datetime.isoformat)
