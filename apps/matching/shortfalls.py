"""Why needs were given less than they want, kept for their pages: what nobody was asked for has no match to say it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from django.db import connection, transaction
from django.db.models import Count

from apps.demands.models import Demand, DemandState
from apps.matching.allocation import Plan
from apps.matching.models import Match, MatchState, Shortfall
from apps.matching.ranking import Need, effective_tier
from apps.matching.verdicts import Because, Verdict
from apps.policy.models import Policy


def note_plan(plan: Plan, needs: Sequence[Need], demands: Collection[Demand], policy: Policy, now: dt.datetime) -> None:
    """Keep what a greedy plan gave to the needs for which something fits. Where nothing does, the outlook of the need
    says why, and what was kept before stays.
    """
    fitting = [need for need in needs if len(plan.ranked[need.id].candidates)]
    unfitting = {need.id for need in needs} - {need.id for need in fitting}
    judged = [demand for demand in demands if demand.pk not in unfitting]
    note(_of_plan(plan, fitting, policy, now), judged, policy, now)


def _of_plan(plan: Plan, needs: Iterable[Need], policy: Policy, now: dt.datetime) -> Iterator[Verdict]:
    """Others count that were given some of the item, by the tier they had then."""
    given: dict[int, int] = defaultdict(int)
    for hold in plan.holds:
        given[hold.need_id] += hold.quantity
    short = [need for need in needs if given[need.id] < need.wanting]
    if not short:
        return
    served = dict(
        Match.objects.filter(demand__item=short[0].item_id, state__in=[MatchState.HELD, MatchState.ACCEPTED])
        .filter(demand__state__in=[DemandState.OPEN, DemandState.MATCHED])
        .values_list("tier")
        .annotate(needs=Count("demand", distinct=True))
    )
    for need in short:
        own, got = effective_tier(need.tier, need.waiting_since, now, policy.values), given[need.id]
        others = max(0, served.get(own, 0) - (got > 0))
        above = sum(count for other, count in served.items() if other < own)
        because = Because.SHARED if others else Because.HIGHER if above else Because.EXHAUSTED
        yield Verdict(need.id, got, need.wanting, because, others, above)


@transaction.atomic
def note(verdicts: Iterable[Verdict], demands: Collection[Demand], policy: Policy, now: dt.datetime) -> None:
    """Keep what was decided of these demands, in the order of their keys; only what differs is written."""
    _one_writer_at_a_time()
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


@transaction.atomic
def forget(demand_ids: Iterable[int]) -> None:
    """These needs lack nothing any more, or want nothing now."""
    if over := list(demand_ids):
        _one_writer_at_a_time()
        Shortfall.objects.filter(demand__in=over).delete()


def _one_writer_at_a_time() -> None:
    """Some rows go and others come in one transaction, so no order of their keys would keep two writers from waiting
    for each other: a sweep and the micro-batch did. Readers do not wait, and a writer waits for nothing else.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE matching_shortfall IN SHARE ROW EXCLUSIVE MODE")
