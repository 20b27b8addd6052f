"""The count of the levers: reads all open needs that are short, group by group, and keeps what each act would bring."""

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.accounts.models import Organisation, OrganisationState
from apps.accounts.permissions import OFFICES
from apps.demands.models import Demand, DemandQuerySet
from apps.matching.levers.acts import Act, acts
from apps.matching.levers.effects import Effect, Outcome, outcome
from apps.matching.loading import linked_items, load_needs, load_offers, load_rules, load_sources, slim
from apps.matching.models import Lever, LeverCount, LeverEffect
from apps.matching.scoring.causes import Cause
from apps.matching.scoring.facts import Rules
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply.models import Offer, OfferState, OfferStateCode

log = structlog.get_logger(__name__)

# A worker that dies loses its claim after this long, which is more than a task may run.
LEASE: Final = dt.timedelta(minutes=5)
# Why offers are asked by nobody at all. A supplier that said that its goods are gone is not asked for them.
_IDLE: Final = {
    Cause.CERTIFICATE: Q(state=OfferState.PUBLISHED),
    Cause.STALE: Q(state=OfferState.STALE, state_code=OfferStateCode.NOBODY_CONFIRMED),
}


@dataclass
class _Counted:
    """An act with what it would bring."""

    act: Act
    outcome: Outcome


def count_levers(*, now: dt.datetime | None = None) -> int | None:
    """Count what each single act would bring to the open needs, and keep it. Returns how many levers there are.

    None where another worker counts already, or the last count has just ended. Safe to run twice and side by side.
    """
    began, now = time.monotonic(), now or timezone.now()
    if not _claim(now):
        return None
    rules, policy = load_rules(), Policy.objects.current().values
    # Nobody else sees levers. Of all counties and cities there would be a hundred times as many effects.
    regions = set(Organisation.objects.filter(kind__in=OFFICES).values_list("region_id", flat=True))
    rows = Demand.objects.open().short().filter(organisation__state=OrganisationState.VERIFIED)
    found: list[_Counted] = []
    needs = 0
    for item_ids in linked_items(rows, rules):
        number, counted = _count_group(rows.filter(item__in=item_ids), item_ids, regions, rules, policy, now)
        needs += number
        found += counted
    _keep(found)
    seconds = time.monotonic() - began
    LeverCount.objects.filter(pk=1).update(counted_at=now, seconds=seconds, needs=needs, claimed_until=None)
    log.info("levers_counted", levers=len(found), needs=needs, seconds=round(seconds, 1))
    return len(found)


def last_count_of_levers() -> LeverCount | None:
    """When levers were last counted; None if they never were."""
    return LeverCount.objects.filter(pk=1, counted_at__isnull=False).first()


@transaction.atomic
def _claim(now: dt.datetime) -> bool:
    LeverCount.objects.bulk_create([LeverCount(pk=1)], ignore_conflicts=True)
    row = LeverCount.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if row is None or (row.claimed_until and row.claimed_until > now) or not row.is_due(now):
        return False
    row.claimed_until = now + LEASE
    row.save(update_fields=["claimed_until"])
    return True


def _count_group(
    rows: DemandQuerySet,
    item_ids: Iterable[int],
    regions: set[str],
    rules: Rules,
    policy: PolicyValues,
    now: dt.datetime,
) -> tuple[int, list[_Counted]]:
    """How many needs of linked items are short, and the acts that would bring them something in these regions."""
    items = list(item_ids)
    sources = load_sources(items, now, policy)
    idle = {cause: load_offers(_kept_back_by(cause, items, now)) for cause in _IDLE}
    if not sources and not any(idle.values()):
        return rows.count(), []
    most: dict[int, int] = {}
    needs = load_needs(_noting(slim(rows), policy, most), policy)
    outcomes = (
        (act, outcome(act, most, rules, regions=regions, policy=policy, now=now))
        for act in acts(needs, sources, idle, rules)
    )
    # Needs and sources are let go of with their group.
    return len(needs), [_Counted(replace(act, sources=(), needs=()), brought) for act, brought in outcomes if brought]


def _kept_back_by(cause: Cause, item_ids: Sequence[int], now: dt.datetime) -> list[int]:
    """Offers of verified suppliers that only this keeps from being asked, with something free."""
    has_run_out = Q(certificate_valid_until__lt=now.date())
    offers = (
        Offer.objects.filter(_IDLE[cause], item__in=item_ids, organisation__state=OrganisationState.VERIFIED)
        .filter(has_run_out if cause is Cause.CERTIFICATE else ~has_run_out)
        .filter(quantity__gt=F("quantity_reserved"))
    )
    return list(offers.values_list("pk", flat=True))


def _noting(demands: Iterable[Demand], policy: PolicyValues, most: dict[int, int]) -> Iterator[Demand]:
    """The demands; `most` gets what those of unknown quantity may take, where nobody was asked yet."""
    for demand in demands:
        if demand.quantity is None and not demand.quantity_covered:
            most[demand.pk] = policy.most_plausible(demand.organisation.kind, demand.item.trial_lot)
        yield demand


@transaction.atomic
def _keep(found: Iterable[_Counted]) -> None:
    """Write what was counted where it differs from the count before. A lever that was pulled stays, without effects."""
    counted = {one.act.key: one for one in found}
    kept = {lever.key: lever for lever in Lever.objects.select_for_update()}
    gone = [lever.pk for key, lever in kept.items() if key not in counted]
    LeverEffect.objects.filter(lever__in=gone).delete()
    Lever.objects.filter(pk__in=gone, pulls=None).delete()

    suppliers = dict(
        Offer.objects.filter(pk__in={pk for one in counted.values() for pk in one.outcome.offers}).values_list(
            "pk", "organisation_id"
        )
    )
    new, changed = [], []
    for key, one in counted.items():
        facts = {
            "minimum": one.act.minimum,
            "offers": list(one.outcome.offers),
            "suppliers": len({suppliers[pk] for pk in one.outcome.offers if pk in suppliers}),
        }
        lever = kept.get(key)
        if lever is None:
            lever = kept[key] = Lever(
                cause=one.act.cause,
                item_id=one.act.item_id,
                offer_id=one.act.offer_id,
                asked_standard_id=one.act.asked_id,
                offered_standard_id=one.act.offered_id,
                **facts,
            )
            new.append(lever)
        elif any(getattr(lever, name) != value for name, value in facts.items()):
            for name, value in facts.items():
                setattr(lever, name, value)
            changed.append(lever)
    Lever.objects.bulk_create(new)
    Lever.objects.bulk_update(changed, ["minimum", "offers", "suppliers"], batch_size=500)
    _keep_effects({kept[key].pk: one.outcome.effects for key, one in counted.items()})


def _keep_effects(counted: Mapping[int, Mapping[str, Effect]]) -> None:
    """Write the effects that differ, by lever and region."""
    present: dict[tuple[int, str], tuple[int, Effect]] = {
        (lever, region): (pk, Effect(*numbers))
        for pk, lever, region, *numbers in LeverEffect.objects.filter(lever__in=counted).values_list(
            "pk", "lever_id", "region_id", "needs", "organisations", "quantity", "tier"
        )
    }
    wanted = {(lever, region): effect for lever, effects in counted.items() for region, effect in effects.items()}
    outdated = [pk for where, (pk, effect) in present.items() if wanted.get(where) != effect]
    LeverEffect.objects.filter(pk__in=outdated).delete()
    LeverEffect.objects.bulk_create(
        [
            LeverEffect(
                lever_id=lever,
                region_id=region,
                needs=effect.needs,
                organisations=effect.organisations,
                quantity=effect.quantity,
                tier=effect.tier,
            )
            for (lever, region), effect in wanted.items()
            if (lever, region) not in present or present[lever, region][1] != effect
        ],
        batch_size=2000,
    )
