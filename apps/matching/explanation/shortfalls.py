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
from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.facts import Need
from apps.matching.scoring.precedence import effective_tier
from apps.policy.models import Policy


def shortfall_of(demand: Demand) -> Shortfall | None:
    """Why an open need (fetched with its item) got no more, with its quantities as they are now. Not to be saved.

    `given` is what suppliers are being asked for, `wanting` what nobody has promised yet.

    None where the need lacks more or less than when that was decided. Then it is being decided again, or nothing fits
    any more, which its outlook says.
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
    """By need id, what a sequential plan gives each need that stays short although something fits, and why not more.

    All needs are of one item. Needs that got some of the item count as competitors, in this plan or before it.
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
    """Keep what a sequential plan gave to the needs for which something fits.

    Where nothing fits, the outlook of the need says why, and what was kept before stays.
    """
    unfitting = {need_id for need_id, ranked in plan.ranked.items() if not len(ranked.candidates)}
    judged = [demand.pk for demand in demands if demand.pk not in unfitting]
    note(verdicts.values(), judged, policy, now)


@transaction.atomic
def note(verdicts: Iterable[Shortage], demand_ids: Collection[int], policy: Policy, now: dt.datetime) -> None:
    """Keep the shortages that were decided for these demands. Only rows that differ are written.

    A decision that was not carried out is not kept, because a change was not worth it or something went meanwhile. The
    row from before stays then.
    """
    _one_writer_at_a_time()
    told = {verdict.need_id: verdict for verdict in verdicts if verdict.because is not None}
    # What the need lacks now shows whether the plan was carried out: it must be what the plan left.
    now_lacking = {row.pk: row.quantity_remaining for row in Demand.objects.filter(pk__in=told).select_related("item")}
    carried_out = {pk for pk, verdict in told.items() if now_lacking.get(pk) == verdict.lacking}
    known = {row.demand_id: row for row in Shortfall.objects.filter(demand__in=demand_ids)}
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
    """Let one transaction at a time write shortfalls.

    A transaction deletes some rows and writes others, so no order of keys keeps two writers from a deadlock. A sweep
    and the micro-batch had one. Readers do not wait, and a writer waits for nothing else while it holds this lock.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE matching_shortfall IN SHARE ROW EXCLUSIVE MODE")
