"""What matching and fulfilment do to the quantities of a demand. A writer of this app's tables, as `services.py` is.

Each verb is one UPDATE inside the caller's transaction. Constraints of the table refuse what does not add up. Holds are
committed by functions in the database, through the view `demands_open` (`apps/matching/holds/sql`).
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
    """Give back held quantities, by key of the demand: that much is wanted again, and others are asked for it.

    If there are several demands, the caller has locked them in the order of their keys.
    """
    # One statement, in SQL, because each row has a quantity of its own. The ORM would write a CASE of all rows.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE demands_demand SET quantity_held = quantity_held - less.quantity, match_requested_at = %s
            FROM unnest(%s::bigint[], %s::bigint[]) AS less (id, quantity) WHERE demands_demand.id = less.id""",
            [now, list(quantities), list(quantities.values())],
        )


def try_quantities(quantities: Mapping[int, int]) -> None:
    """Seek these trial quantities, by key of the demand, where the quantity is unknown and nobody was asked yet."""
    untouched = Demand.objects.open().filter(quantity=None, quantity_held=0, quantity_matched=0)
    for demand_id, quantity in sorted(quantities.items()):
        untouched.filter(pk=demand_id).update(trial_quantity=quantity)


def record_acceptance(demand_id: int, *, held: int, accepted: int, now: dt.datetime) -> bool:
    """Note that a supplier accepts `accepted` of `held` (accepted ≤ held). False if the demand is not open any more."""
    won = (
        Demand.objects.open()
        .filter(pk=demand_id, quantity_held__gte=held)
        .update(quantity_held=F("quantity_held") - held, quantity_matched=F("quantity_matched") + accepted)
    )
    if won:
        sync_state(demand_id, now=now)
    return won == 1


def record_repeat(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Note that an accepted match is ordered again: need and promise grow by the same quantity."""
    # Otherwise a repeat of a need that is met would be refused by the constraint `demand_not_overserved`.
    Demand.objects.filter(pk=demand_id).update(
        quantity=F("quantity") + quantity, quantity_matched=F("quantity_matched") + quantity
    )
    sync_state(demand_id, now=now)


def undo_repeat(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Undo a repeat that the requester takes back: its quantity is neither needed nor promised any more.

    If the need was reduced since to no more than that quantity, the repeat counts as a loss.
    """
    # `quantity__gt`, because a quantity of 0 is not allowed.
    undone = Demand.objects.filter(pk=demand_id, quantity__gt=quantity).update(
        quantity=F("quantity") - quantity, quantity_matched=F("quantity_matched") - quantity
    )
    if not undone:
        record_loss(demand_id, quantity, now=now)
        return
    sync_state(demand_id, now=now)


def record_loss(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Take back a promise that is not kept (order cancelled, goods rejected). The quantity is wanted again."""
    Demand.objects.filter(pk=demand_id).update(quantity_matched=F("quantity_matched") - quantity)
    sync_state(demand_id, now=now)


def record_receipt(demand_id: int, quantity: int, *, now: dt.datetime) -> None:
    """Note goods that were received and accepted. Only these count as met."""
    Demand.objects.filter(pk=demand_id).update(quantity_received=F("quantity_received") + quantity)
    sync_state(demand_id, now=now)


def sync_state(demand_id: int, *, now: dt.datetime) -> None:
    """Bring the state in line with the quantities, inside the caller's transaction.

    A need of unknown quantity is never fulfilled by its trial lot: it stays matched until somebody says how much it is.
    """
    demand = Demand.objects.select_for_update(of=["self"], no_key=True).select_related("item").get(pk=demand_id)
    # A person paused or cancelled the need, or its clock did. Quantities do not change that.
    if demand.state not in {DemandState.OPEN, DemandState.MATCHED, DemandState.FULFILLED}:
        return

    target = DemandState.OPEN
    if demand.quantity is not None and demand.quantity_received >= demand.quantity:
        target = DemandState.FULFILLED
    elif demand.quantity_matched >= demand.target:
        target = DemandState.MATCHED

    reopened = target == DemandState.OPEN and demand.state != DemandState.OPEN
    # Matching looks again even if the state stays: the remaining quantity has changed.
    changes: dict[str, Any] = {"match_requested_at": now}
    # Nobody looked at its clocks while it was matched, so they have probably run out.
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
