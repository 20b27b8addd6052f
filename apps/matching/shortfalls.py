"""Why needs were given less than they want, kept for their pages: what nobody was asked for has no match to say it."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import Count

from apps.demands.models import Demand
from apps.matching.allocation import Plan
from apps.matching.models import Match, MatchState, Shortfall
from apps.matching.ranking import Need
from apps.matching.verdicts import Because, Verdict
from apps.policy.models import Policy


def of_plan(plan: Plan, needs: Sequence[Need], demands: Iterable[Demand], item_id: int) -> list[Verdict]:
    """What a greedy plan, which sees only the needs that asked to be matched, gave to each of them for which something
    fits. Where nothing fits, the outlook of the need says why.

    Others count that were given some of the item, by the tier they had then.
    """
    given: dict[int, int] = {}
    for hold in plan.holds:
        given[hold.need_id] = given.get(hold.need_id, 0) + hold.quantity
    verdicts = [
        Verdict(need.id, given.get(need.id, 0), need.wanting)
        for need in needs
        if len(plan.ranked[need.id].candidates) or need.id in given
    ]
    short = [verdict for verdict in verdicts if verdict.given < verdict.wanting]
    if not short:
        return verdicts

    tier = {demand.pk: demand.organisation.tier for demand in demands}
    served = dict(
        Match.objects.filter(demand__item=item_id, state__in=[MatchState.HELD, MatchState.ACCEPTED])
        .filter(demand__state__in=["open", "matched"])
        .values_list("tier")
        .annotate(needs=Count("demand", distinct=True))
    )
    found = {}
    for verdict in short:
        own = tier[verdict.need_id]
        others = max(0, served.get(own, 0) - (verdict.given > 0))
        above = sum(count for other, count in served.items() if other < own)
        because = Because.SHARED if others else Because.HIGHER if above else Because.EXHAUSTED
        found[verdict.need_id] = replace(verdict, because=because, others=others, above=above)
    return [found.get(verdict.need_id, verdict) for verdict in verdicts]


@transaction.atomic
def note(verdicts: Iterable[Verdict], demands: Collection[Demand], policy: Policy, now: dt.datetime) -> None:
    """Keep what was decided of these demands, in the order of their keys; only what differs is written."""
    told = {verdict.need_id: verdict for verdict in verdicts if verdict.because is not None}
    known = {row.demand_id: row for row in Shortfall.objects.filter(demand__in=[demand.pk for demand in demands])}
    forget(pk for pk in known if pk not in told)
    changed = [verdict for pk, verdict in sorted(told.items()) if pk not in known or known[pk].verdict != verdict]
    rows = [
        Shortfall(
            demand_id=verdict.need_id,
            given=verdict.given,
            wanting=verdict.wanting,
            because=verdict.because or "",
            others=verdict.others,
            above=verdict.above,
            policy_version=policy.version,
            decided_at=now,
        )
        for verdict in changed
    ]
    Shortfall.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["demand"],
        update_fields=["given", "wanting", "because", "others", "above", "policy_version", "decided_at"],
    )


def forget(demand_ids: Iterable[int]) -> None:
    """These needs lack nothing any more, or want nothing now."""
    if over := list(demand_ids):
        Shortfall.objects.filter(demand__in=over).delete()
