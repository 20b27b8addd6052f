"""Ends holds and backups from our side, under the locks of their needs and offers.

It writes this app's tables, and only `services` and `plans` call it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence

from django.db import transaction

from apps.demands import quantities as demands_quantities
from apps.demands.models import Demand
from apps.matching.models import Match, MatchQuerySet, MatchState
from apps.supply import quantities as supply_quantities
from apps.supply.models import Offer


def lock(demand_ids: Iterable[int], offer_ids: Iterable[int] = ()) -> dict[int, Demand]:
    """Take the rows of a decision in the order that everybody takes them."""
    # Needs by key, then offers by key: one order for everybody, so no two transactions wait for each other in a circle
    # (decision 0006). `no_key`, because foreign keys of new matches are checked under a share lock on the same rows.
    demands = Demand.objects.select_for_update(of=["self"], no_key=True).filter(pk__in=set(demand_ids)).order_by("pk")
    locked = {demand.pk: demand for demand in demands.shown()}
    # Only the locks are wanted here, so the rows are read and thrown away.
    list(Offer.objects.select_for_update(no_key=True).filter(pk__in=set(offer_ids)).order_by("pk").values_list("pk"))
    return locked


def end_holds(matches: Sequence[Match], to: MatchState, now: dt.datetime) -> None:
    """End holds that were read under the locks of their needs and offers, and give both quantities back."""
    # Added up first, because several holds may be of one need or on one offer, and each row is updated once.
    of_demands: Counter[int] = Counter()
    of_offers: Counter[int] = Counter()
    for match in matches:
        of_demands[match.demand_id] += match.quantity
        of_offers[match.offer_id] += match.quantity
        # The notices that follow read the state from these objects.
        match.state = to
    if matches:
        Match.objects.held().filter(pk__in=[match.pk for match in matches]).update(state=to)
        demands_quantities.release(of_demands, now=now)
        supply_quantities.release(of_offers, now=now)


def take_back(matches: Sequence[Match], to: MatchState, now: dt.datetime) -> None:
    """End unanswered holds from our side. The suppliers are notified of it when the needs have been matched
    again (`notices.notify_withdrawn`), unless they are asked anew.
    """
    end_holds(matches, to, now)
    if matches:
        Match.objects.filter(pk__in=[match.pk for match in matches]).update(withdrawal_notice_pending=True)


@transaction.atomic
def retire_backups(backups: MatchQuerySet) -> None:
    """End backups: their needs want nothing more, or their offers are not there any more.

    Under the locks of their needs, as a backup is promoted under the lock of its need.
    """
    waiting = backups.filter(state=MatchState.STANDBY)
    # One order of locks for updates of many rows, here and in `update_in_order` (decision 0006).
    lock(waiting.values_list("demand_id", flat=True))
    waiting.update_in_order(state=MatchState.SUPERSEDED)
