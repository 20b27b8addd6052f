"""Why needs were given less than they want, kept for their pages: what nobody was asked for has no match to say it."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from django.db import connection, transaction
from django.db.models import Count

from apps.demands.models import Demand, DemandState
from apps.matching.allocation.sequential import Plan
from apps.matching.allocation.shortage import Shortage
from apps.matching.models import Match, MatchState, Shortfall
from apps.matching.scoring.facts import Need
from apps.matching.scoring.precedence import effective_tier
from apps.matching.scoring.reasons import Reason
from apps.policy.models import Policy


def shortfall_of(demand: Demand) -> Shortfall | None:
    """Why an open need (fetched with its item) was given no more, in the numbers of now: what is asked for of what
    nobody has promised. Not to be saved.

    None where it lacks something else by now than it did when that was decided. It is being decided again then, or
    nothing fits any more, which its outlook says.
    """
    if demand.state != DemandState.OPEN or not demand.quantity_remaining:
        return None
    row = Shortfall.objects.filter(demand=demand).first()
    if row is None or row.verdict.lacking != demand.quantity_remaining:
        return None
    row.given, row.wanting = demand.quantity_held, demand.target - demand.quantity_matched
    return row


def judge(
    plan: Plan, needs: Sequence[Need], demands: Collection[Demand], policy: Policy, now: dt.datetime
) -> dict[int, Shortage]:
    """Of the needs of one item that a greedy plan gives less than they want, though something fits: what, and why not
    more. Others count that were given some of the item, now or before.
    """
    given: dict[int, int] = defaultdict(int)
    for hold in plan.holds:
        given[hold.need_id] += hold.quantity
    short = [need for need in needs if given[need.id] < need.remaining and len(plan.ranked[need.id].candidates)]
    if not short:
        return {}
    served = Counter(
        dict(
            Match.objects.filter(demand__item=short[0].item_id, state__in=[MatchState.HELD, MatchState.ACCEPTED])
            .filter(demand__state__in=[DemandState.OPEN, DemandState.MATCHED])
            .exclude(demand__in=[need.id for need in needs])
            .values_list("tier")
            .annotate(needs=Count("demand", distinct=True))
        )
    )
    tier = {need.id: effective_tier(need.tier, need.waiting_since, now, policy.values) for need in needs}
    had = {demand.pk for demand in demands if demand.quantity_held or demand.quantity_matched}
    got = {need.id for need in needs if given[need.id] or need.id in had}
    served.update(tier[need_id] for need_id in got)
    return {need.id: _verdict(need, given[need.id], tier[need.id], served, need.id in got) for need in short}


def _verdict(need: Need, given: int, tier: int, served: Mapping[int, int], is_served: bool) -> Shortage:
    others = served.get(tier, 0) - is_served
    above = sum(count for other, count in served.items() if other < tier)
    because = Reason.SHARED if others else Reason.HIGHER if above else Reason.EXHAUSTED
    return Shortage(need.id, given, need.remaining, because, others, above)


def note_plan(
    plan: Plan, verdicts: Mapping[int, Shortage], demands: Collection[Demand], policy: Policy, now: dt.datetime
) -> None:
    """Keep what a greedy plan gave to the needs for which something fits. Where nothing does, the outlook of the need
    says why, and what was kept before stays.
    """
    unfitting = {need_id for need_id, ranked in plan.ranked.items() if not len(ranked.candidates)}
    judged = [demand for demand in demands if demand.pk not in unfitting]
    note(verdicts.values(), judged, policy, now)


@transaction.atomic
def note(verdicts: Iterable[Shortage], demands: Collection[Demand], policy: Policy, now: dt.datetime) -> None:
    """Keep what was decided of these demands, in the order of their keys; only what differs is written. Of what was not
    carried out, because it was not worth it or something went meanwhile, nothing is kept; what was before stays.
    """
    _one_writer_at_a_time()
    told = {verdict.need_id: verdict for verdict in verdicts if verdict.because is not None}
    now_lacking = {row.pk: row.quantity_remaining for row in Demand.objects.filter(pk__in=told).select_related("item")}
    carried_out = {pk for pk, verdict in told.items() if now_lacking.get(pk) == verdict.lacking}
    known = {row.demand_id: row for row in Shortfall.objects.filter(demand__in=[demand.pk for demand in demands])}
    forget(pk for pk in known if pk not in told)
    changed = [told[pk] for pk in sorted(carried_out) if pk not in known or known[pk].verdict != told[pk]]
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
