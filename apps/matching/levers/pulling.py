"""Pulling a lever: whoever could change something is asked to, by one message each. It notes who did it, and when."""

import datetime as dt
from collections.abc import Collection
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, Min
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, OrganisationState, User
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.demands.models import Demand, DemandQuerySet
from apps.matching.models import Lever, LeverEffect, LeverPull
from apps.notifications.services import News, queue_all
from apps.supply.models import Offer, OfferQuerySet
from apps.supply.services import describe

# Whoever was asked has a day to answer before the same lever can be pulled again in the same region.
REST: Final = dt.timedelta(days=1)


def offers_to_ask(lever: Lever) -> OfferQuerySet:
    """The offers that would give, as far as they are still there."""
    return Offer.objects.filter(pk__in=lever.offers).shown().order_by("pk")


def needs_to_ask(lever: Lever, region: Region) -> DemandQuerySet:
    """The needs of the region that ask for this standard, and for which nobody is asked or has promised anything."""
    return Demand.objects.open().filter(
        item=lever.item_id,
        standard=lever.asked_standard_id,
        quantity_held=0,
        quantity_matched=0,
        region__path__startswith=region.path,
        organisation__state=OrganisationState.VERIFIED,
    )


def last_pull(lever: Lever, regions: Collection[str]) -> LeverPull | None:
    """The last time that it was pulled for one of these regions."""
    return lever.pulls.filter(region__in=regions).select_related("by").order_by("-pk").first()


@transaction.atomic
def pull_lever(lever: Lever, *, by: User, region: Region, note: str = "", now: dt.datetime | None = None) -> LeverPull:
    """Ask whoever can make the change of this lever, for the needs of the region. The next count says what came of it.

    Raises `lever_without_effect` where it helps no need of the region any more, and `lever_pulled_already` within a
    day.
    """
    now = now or timezone.now()
    # Two clicks at once: the second waits here, and finds the pull of the first.
    lever = Lever.objects.select_for_update(of=["self"]).shown().get(pk=lever.pk)
    effect = LeverEffect.objects.filter(lever=lever, region=region.code).first()
    if effect is None:
        raise RuleViolation("lever_without_effect", _("By now this would help no need of your region."))
    if lever.pulls.filter(region=region.code, pulled_at__gt=now - REST).exists():
        raise RuleViolation(
            "lever_pulled_already", _("They were asked within the last day already. Give them time to answer.")
        )
    news = _to_requesters(lever, region, now) if lever.asks_requesters else _to_suppliers(lever, effect, now)
    queue_all(news)
    pull = LeverPull.objects.create(
        lever=lever,
        region=region,
        by=by,
        note=note,
        asked=len({one.recipient for one in news}),
        needs=effect.needs,
        organisations=effect.organisations,
        quantity=effect.quantity,
        pulled_at=now,
    )
    audit.record(by, "lever.pulled", lever, region=region.code, cause=lever.cause, asked=pull.asked, note=note)
    return pull


def _to_suppliers(lever: Lever, effect: LeverEffect, now: dt.datetime) -> list[News]:
    told = _what(lever) | {"needs": effect.needs, "organisations": effect.organisations}
    return [
        News(
            "offer.change_asked",
            offer.organisation,
            describe(offer) | told | {"before": offer.minimum_order},
            # Once a day, also if the desks of a city and its province pull the same lever.
            key=f"offer.change_asked:{lever.pk}:{offer.pk}:{now:%Y%m%d}",
        )
        for offer in offers_to_ask(lever)
    ]


def _to_requesters(lever: Lever, region: Region, now: dt.datetime) -> list[News]:
    """Each organisation is asked once, whatever number of needs it has."""
    asking = {
        row["organisation"]: row
        for row in needs_to_ask(lever, region)
        .order_by()
        .values("organisation")
        .annotate(first=Min("pk"), needs=Count("pk"))
    }
    return [
        News(
            "demand.change_asked",
            organisation,
            _what(lever)
            | {
                "demand_id": asking[organisation.pk]["first"],
                "needs": asking[organisation.pk]["needs"],
                "organisation": organisation.name,
                "item": lever.item.names,
                "unit": lever.item.unit.short_names,
            },
            key=f"demand.change_asked:{lever.pk}:{organisation.pk}:{now:%Y%m%d}",
        )
        for organisation in Organisation.objects.filter(pk__in=asking).order_by("pk")
    ]


def _what(lever: Lever) -> dict[str, Any]:
    """What is to be changed, as facts of a message."""
    return {
        "cause": lever.cause,
        "minimum": lever.minimum,
        "standard": lever.asked_standard.code if lever.asked_standard else None,
        "offered_standard": lever.offered_standard.code if lever.offered_standard else None,
    }
