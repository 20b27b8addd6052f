"""Levers in words, and which of them a reader sees: one list for the desk, the dashboard and the page of all."""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.core.errors import Text
from apps.matching.models import Lever, LeverEffect, LeverPull
from apps.matching.scoring.causes import Cause
from apps.portal.wording import grouped, quantity

BIGGEST: Final = 10
# So long it is told what was done, after nobody would be helped by it any more.
TOLD: Final = dt.timedelta(days=30)

_EXPLAINED: Final[dict[str, Text]] = {
    Cause.MINIMUM: gettext_lazy(
        "The supplier gets a message that says how many would be helped, and may lower its minimum order or not."
    ),
    Cause.UNSTATED: gettext_lazy(
        "Each supplier gets a message, and states the standard in its offer if its goods meet it."
    ),
    Cause.STANDARD: gettext_lazy(
        "Each organisation of your region that waits with such a need gets one message, and decides by itself."
    ),
    Cause.CERTIFICATE: gettext_lazy("Each supplier gets a message that asks for its new certificate."),
    Cause.STALE: gettext_lazy("Each supplier gets a message with a link by which it says that the goods are there."),
}


@dataclass(frozen=True)
class InWords:
    """A lever in one region: what to do, what it brings, and the last time that it was pulled there."""

    effect: LeverEffect
    says: str
    brings: str
    last: LeverPull | None


def regions_of(user: User) -> list[str]:
    """Codes of the regions that the user coordinates or watches."""
    offices = {
        *user.organisations_with(Permission.COORDINATE),
        *user.organisations_with(Permission.WATCH_REGION),
    }
    return sorted({office.region_id for office in offices})


def ranked(codes: Collection[str]) -> QuerySet[LeverEffect]:
    """The levers that help some need in one of these regions: by tier, then by organisations, then by quantity."""
    rows = LeverEffect.objects.filter(region__in=codes)
    return rows.order_by("tier", "-organisations", "-quantity", "pk")


def shown() -> QuerySet[LeverEffect]:
    return LeverEffect.objects.select_related(
        "lever__item__unit", "lever__offer__organisation", "lever__asked_standard", "lever__offered_standard", "region"
    )


def biggest(user: User) -> list[InWords]:
    codes = regions_of(user)
    keys = list(ranked(codes).values_list("pk", flat=True)[:BIGGEST]) if codes else []
    found = shown().in_bulk(keys) if keys else {}
    return in_words([found[key] for key in keys if key in found])


def in_words(effects: Iterable[LeverEffect]) -> list[InWords]:
    rows = list(effects)
    pulls = LeverPull.objects.filter(lever__in=[row.lever_id for row in rows]).select_related("by").order_by("pk")
    last = {(pull.lever_id, pull.region_id): pull for pull in pulls}
    return [InWords(row, says(row.lever), brings(row), last.get((row.lever_id, row.region_id))) for row in rows]


def done_lately(codes: Collection[str]) -> list[tuple[LeverPull, str]]:
    """What was pulled in these regions and would help nobody there any more, the newest first."""
    pulls = (
        LeverPull.objects.filter(region__in=codes, pulled_at__gt=timezone.now() - TOLD)
        .select_related("by", "region", "lever__item__unit", "lever__offer__organisation")
        .select_related("lever__asked_standard", "lever__offered_standard")
        .order_by("-pk")[:BIGGEST]
    )
    left = set(LeverEffect.objects.filter(region__in=codes).values_list("lever_id", "region_id"))
    return [(pull, says(pull.lever)) for pull in pulls if (pull.lever_id, pull.region_id) not in left]


def says(lever: Lever) -> str:
    """“Maker X asks for at least 2,000 pieces of disposable masks: ask to lower that to 1,000.”"""
    facts = _facts(lever)
    match lever.cause:
        case Cause.MINIMUM:
            return _("%(item)s: %(supplier)s asks for at least %(before)s. Ask to lower that to %(minimum)s.") % facts
        case Cause.UNSTATED:
            return (
                ngettext(
                    "%(item)s: %(suppliers)s supplier states no standard, and %(asked)s is asked for. "
                    "Ask it to state the standard.",
                    "%(item)s: %(suppliers)s suppliers state no standard, and %(asked)s is asked for. "
                    "Ask them to state the standard.",
                    lever.suppliers,
                )
                % facts
            )
        case Cause.STANDARD:
            return (
                _("%(item)s: suppliers have %(offered)s, and %(asked)s is asked for. Ask whether that will do.") % facts
            )
        case Cause.CERTIFICATE:
            return (
                ngettext(
                    "%(item)s: the certificate of %(suppliers)s supplier has expired. Ask for a new one.",
                    "%(item)s: the certificates of %(suppliers)s suppliers have expired. Ask for new ones.",
                    lever.suppliers,
                )
                % facts
            )
    return (
        ngettext(
            "%(item)s: %(suppliers)s supplier has not confirmed for long. Ask whether the goods are still there.",
            "%(item)s: %(suppliers)s suppliers have not confirmed for long. Ask whether the goods are still there.",
            lever.suppliers,
        )
        % facts
    )


def _facts(lever: Lever) -> dict[str, Any]:
    offer = lever.offer
    return {
        "item": capfirst(lever.item.label),
        "supplier": offer.organisation.name if offer else "",
        "before": quantity(offer.minimum_order, lever.item) if offer else "",
        "minimum": quantity(lever.minimum, lever.item),
        "suppliers": grouped(lever.suppliers),
        "asked": lever.asked_standard.code if lever.asked_standard else "",
        "offered": lever.offered_standard.code if lever.offered_standard else "",
    }


def brings(effect: LeverEffect | LeverPull) -> str:
    """“Organisations: 93, needs: 94, together 145,000 pieces.”"""
    return _("Organisations: %(organisations)s, needs: %(needs)s, together %(quantity)s") % {
        "organisations": grouped(effect.organisations),
        "needs": grouped(effect.needs),
        "quantity": quantity(effect.quantity, effect.lever.item),
    }


def explained(lever: Lever) -> Text:
    return _EXPLAINED[lever.cause]


def asked_in_words(number: int) -> str:
    return ngettext("%(number)s organisation is asked.", "%(number)s organisations are asked.", number) % {
        "number": grouped(number)
    }


def facts_of(effect: LeverEffect) -> list[tuple[str | Promise, str]]:
    return [
        (_("What"), says(effect.lever)),
        (_("Would help"), brings(effect)),
        (_("Best tier"), str(effect.tier)),
    ]
