"""The trace of a replay, in one read: the needs of some days, and the stock as it would have been before them."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from django.db.models import F

from apps.demands.models import Demand, DemandQuerySet
from apps.matching.loading import linked_items, load_sources, need_of
from apps.matching.models import Match, MatchState
from apps.matching.scoring.facts import Rules
from apps.matching.simulation.replay import History, Pair, PostedNeed, Stock
from apps.policy.values import PolicyValues
from apps.supply.models import Offer


def posted_between(since: dt.datetime, until: dt.datetime) -> DemandQuerySet:
    return Demand.objects.filter(opened_at__gte=since, opened_at__lt=until)


def items_posted(needs: DemandQuerySet, rules: Rules) -> list[list[int]]:
    """The items of these needs in groups that share no offer. A group includes the accepted substitutes."""
    return [sorted(group) for group in linked_items(needs, rules)]


def load_history(
    item_ids: Iterable[int], since: dt.datetime, until: dt.datetime, policy: PolicyValues, *, most_pairs: int
) -> tuple[History, int]:
    """The trace for these items, and how many of the oldest needs are left out to stay below `most_pairs`.

    Stock is that of today (published, certified, of verified suppliers), with the quantities that these very needs hold
    or have accepted given back. A supplier that declined a need, or let it expire, answers no; one that accepted less
    gives as much. Of several answers to one need the last counts.
    """
    items = list(item_ids)
    rows = posted_between(since, until).filter(item__in=items).shown().order_by("-opened_at", "-pk")
    offers = Offer.objects.published().filter(item__in=items).count()
    # One more than fits, to see whether there are more.
    newest = list(rows[: max(1, most_pairs // max(1, offers)) + 1])
    left_out = 0
    if len(newest) * offers > most_pairs and len(newest) > 1:
        newest.pop()
        left_out = rows.count() - len(newest)

    back: dict[int, int] = defaultdict(int)
    answers: dict[Pair, int] = {}
    matches = Match.objects.filter(demand__in=[demand.pk for demand in newest]).order_by("pk")
    for demand_id, offer_id, state, quantity, asked, answered in matches.values_list(
        "demand_id", "offer_id", "state", "quantity", "quantity_asked", F("responded_at")
    ):
        # The replay hands this stock out again, so it counts as free at the beginning.
        if state in {MatchState.HELD, MatchState.ACCEPTED}:
            back[offer_id] += quantity
        if state in {MatchState.DECLINED, MatchState.EXPIRED} or (state == MatchState.CANCELLED and answered):
            answers[demand_id, offer_id] = 0
        elif state == MatchState.ACCEPTED and quantity < asked:
            answers[demand_id, offer_id] = quantity
        # Accepted in full, so an earlier no of the same pair does not count any more.
        elif state == MatchState.ACCEPTED:
            answers.pop((demand_id, offer_id), None)

    stock = tuple(
        Stock(replace(source, free=source.free + back[source.id], held=()), source.offered_at or since)
        for source in load_sources(items, until, policy, also=list(back))
    )
    return History(
        since, until, tuple(_posted(demand, policy) for demand in reversed(newest)), stock, answers
    ), left_out


def _posted(demand: Demand, policy: PolicyValues) -> PostedNeed:
    """The need as it was posted, before anybody was asked."""
    need = need_of(demand, policy, remaining=demand.target)
    return PostedNeed(need, demand.organisation.kind, demand.region_id)
