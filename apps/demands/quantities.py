"""What matching and fulfilment do to the quantities of a demand. With `services.py` the only writer of this app's
tables.

Each verb is one conditional UPDATE, inside the caller's transaction: the row count is the answer. Holds are committed
by functions in the database, through the view `demands_open` (`matching.holding`).
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import F

from apps.core.states import move
from apps.demands.models import Demand, DemandState
from apps.policy.models import Policy


def release(quantities: Mapping[int, int], *, now: dt.datetime) -> None:
    """Holds are gone: so much of each demand, by key, is wanted again, and somebody else is to be asked.

    Whoever releases of several has locked them in the order of their keys.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE demands_demand SET quantity_held = quantity_held - less.quantity, match_requested_at = %s
            FROM unnest(%s::bigint[], %s::bigint[]) AS less (id, quantity) WHERE demands_demand.id = less.id""",
            [now, list(quantities), list(quantities.values())],
        )


def record_acceptance(demand_id: int, *, held: int, accepted: int, now: dt.datetime) -> bool:
    """Of `held`, a supplier accepts `accepted` (≤ held). False when the demand is not open any more."""
    won = (
        Demand.objects.open()
        .filter(pk=demand_id, quantity_held__gte=held)
        .update(quantity_held=F("quantity_held") - held, quantity_matched=F("quantity_matched") + accepted)
    )
    if won:
        sync_state(demand_id, now=now)
    return won == 1


def record_repeat(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """A proven match is ordered again: the need was larger by as much, and as much is promised."""
    Demand.objects.filter(pk=demand_id).update(
        quantity=F("quantity") + quantity, quantity_matched=F("quantity_matched") + quantity
    )
    sync_state(demand_id, now=now)


def undo_repeat(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """The requester takes a repeat back: neither needed nor promised any more. Where less is needed by now than was
    ordered once more, it is a loss like any other.
    """
    undone = Demand.objects.filter(pk=demand_id, quantity__gt=quantity).update(
        quantity=F("quantity") - quantity, quantity_matched=F("quantity_matched") - quantity
    )
    if not undone:
        record_loss(demand_id, quantity, now=now)
        return
    sync_state(demand_id, now=now)


def record_loss(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Promised goods that will not come (order cancelled, goods rejected): wanted again."""
    Demand.objects.filter(pk=demand_id).update(quantity_matched=F("quantity_matched") - quantity)
    sync_state(demand_id, now=now)


def record_receipt(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Goods received and accepted: only these count as met."""
    Demand.objects.filter(pk=demand_id).update(quantity_received=F("quantity_received") + quantity)
    sync_state(demand_id, now=now)


def sync_state(demand_id: int, *, now: dt.datetime) -> None:
    """Bring the state in line with the quantities, inside the caller's transaction.

    A need of unknown quantity is never fulfilled by its trial lot: it stays matched until somebody says how much it is.
    """
    demand = Demand.objects.select_for_update(of=["self"], no_key=True).select_related("item").get(pk=demand_id)
    if demand.state not in {DemandState.OPEN, DemandState.MATCHED, DemandState.FULFILLED}:
        return

    target = DemandState.OPEN
    if demand.quantity is not None and demand.quantity_received >= demand.quantity:
        target = DemandState.FULFILLED
    elif demand.quantity_matched >= demand.target:
        target = DemandState.MATCHED

    reopened = target == DemandState.OPEN and demand.state != DemandState.OPEN
    changes: dict[str, Any] = {"match_requested_at": now}
    if reopened:
        policy = Policy.objects.current().values
        changes |= {
            **demand.escalation_from(now, policy),
            **demand.clocks_from(now, policy),
        }
    if target != demand.state:
        move(demand, target, **changes)
    else:
        Demand.objects.filter(pk=demand_id).update(**changes)
