"""What is doubtful about an offer: its quantity, its price, its certificate. The supplier is asked, or a coordinator.

A doubt is first a question to the supplier. Once confirmed, an offer with a grave doubt waits for a coordinator, and
any other goes out. Nothing is written here.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission, can, is_in_charge
from apps.catalogue.identifiers import CertificateFault, fault_of_certificate
from apps.catalogue.models import Item
from apps.core import audit
from apps.core.errors import RuleViolation, Text
from apps.core.plausibility import PRICE, Band, Plausibility, band_for
from apps.supply.models import Offer, OfferState, OfferStateCode

# The codes of the questions to a supplier, which a confirmation answers.
QUESTIONS: Final = frozenset(Offer.REVIEWED)
# How many of the newest offers a new one is compared with: enough for a median, and old times do not count.
_HISTORY: Final = 200
# Without history an item's trial lot is the measure: so many lots are asked about, and so many held.
_LOTS_ASKED: Final = 10_000
_LOTS_HELD: Final = 100_000

_CERTIFICATE_SAYS: Final[dict[CertificateFault, Text]] = {
    CertificateFault.UNREADABLE: _("This is not a number that the register of medical devices gives out."),
    CertificateFault.UNKNOWN_FORM: _("This is not the number of a certificate that we know."),
    CertificateFault.NOT_YET: _("By its number the certificate is of a year to come."),
    CertificateFault.RUN_OUT: _("By its number the certificate has run out."),
    CertificateFault.TOO_LONG: _("A registration is valid for five years at most: the last valid day is later."),
    CertificateFault.CLASS_TOO_LOW: _("By its number the certificate is of too low a class for this item."),
    CertificateFault.OTHER_GOODS: _("By its number the certificate is for other goods than this item."),
}
# Who sells under a number that no register gave out, or that is for other goods, is looked at.
_GRAVE: Final = frozenset(CertificateFault) - {CertificateFault.TOO_LONG, CertificateFault.UNKNOWN_FORM}


@dataclass(frozen=True)
class OfferDoubt:
    """Something about an offer that the supplier is asked to confirm, or a coordinator to look at."""

    code: OfferStateCode
    field: str
    text: Text
    is_grave: bool
    usual: float | None = None


@dataclass
class Usual:
    """What an organisation's offers are compared with: the quantities and prices of each item, read once."""

    organisation: Organisation
    quantities: dict[int, Band] = field(default_factory=dict)
    # By item and currency: prices in different currencies are not compared.
    prices: dict[tuple[int, str], Band] = field(default_factory=dict)

    @classmethod
    def of(cls, organisation: Organisation, items: Iterable[Item]) -> "Usual":
        """One query for each item."""
        usual = cls(organisation)
        for item in {item.pk: item for item in items}.values():
            usual._read(item)
        return usual

    def _read(self, item: Item) -> None:
        past = list(
            Offer.objects.live()
            .filter(item=item, organisation__kind=self.organisation.kind)
            .order_by("-pk")
            .values_list("organisation_id", "quantity", "unit_price", "currency")[:_HISTORY]
        )
        quantities = [(who, quantity) for who, quantity, _price, _currency in past if quantity]
        lot = item.trial_lot
        self.quantities[item.pk] = band_for(self.organisation.pk, quantities, ceiling=lot * _LOTS_HELD)
        if not quantities:
            self.quantities[item.pk] = Band(lot, _LOTS_ASKED, _LOTS_HELD)
        prices: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for who, _quantity, price, currency in past:
            if price:
                prices[currency].append((who, float(price)))
        for currency, known in prices.items():
            self.prices[item.pk, currency] = band_for(self.organisation.pk, known, ratios=PRICE, ceiling=float("inf"))


def doubts_about(offer: Offer, usual: Usual, on: dt.date) -> list[OfferDoubt]:
    """What is doubtful about the offer on that day, the gravest first."""
    doubts = [
        *_about_quantity(offer, usual.quantities[offer.item_id]),
        *_about_price(offer, usual.prices.get((offer.item_id, offer.currency), Band())),
        *_about_certificate(offer, on),
    ]
    return sorted(doubts, key=lambda doubt: not doubt.is_grave)


def _about_quantity(offer: Offer, band: Band) -> list[OfferDoubt]:
    judgement = band.judge(offer.quantity)
    if judgement.plausibility is Plausibility.PLAUSIBLE:
        return []
    text: Text = _("Is %(quantity)s right? It is far from what is usual.") % {"quantity": f"{offer.quantity:,}"}
    if judgement.usual is not None:
        text = _("Is %(quantity)s right? Usual is about %(usual)s.") % {
            "quantity": f"{offer.quantity:,}",
            "usual": f"{judgement.usual:,}",
        }
    is_grave = judgement.plausibility is Plausibility.ABSURD
    return [OfferDoubt(OfferStateCode.QUANTITY_UNUSUAL, "quantity", text, is_grave, judgement.usual)]


def _about_price(offer: Offer, band: Band) -> list[OfferDoubt]:
    if not offer.unit_price or offer.is_donation:
        return []
    judgement = band.judge(float(offer.unit_price))
    if judgement.plausibility is Plausibility.PLAUSIBLE:
        return []
    facts = {"price": f"{offer.unit_price.normalize():f}", "currency": offer.currency, "usual": judgement.usual}
    text: Text = _("Is %(price)s %(currency)s for one unit right? It is far from what is usual.") % facts
    if judgement.usual is not None:
        text = _("Is %(price)s %(currency)s for one unit right? Usual is about %(usual)s.") % facts
    is_grave = judgement.plausibility is Plausibility.ABSURD
    return [OfferDoubt(OfferStateCode.PRICE_UNUSUAL, "unit_price", text, is_grave, judgement.usual)]


def _about_certificate(offer: Offer, on: dt.date) -> list[OfferDoubt]:
    item = offer.item
    fault = fault_of_certificate(
        offer.certificate_number,
        valid_until=offer.certificate_valid_until,
        on=on,
        least_class=item.device_class,
        categories=item.device_categories,
    )
    if fault is None:
        return []
    place = "certificate_valid_until" if fault is CertificateFault.TOO_LONG else "certificate_number"
    return [OfferDoubt(OfferStateCode.CERTIFICATE_DOUBTFUL, place, _CERTIFICATE_SAYS[fault], fault in _GRAVE)]


def question_about(doubts: list[OfferDoubt]) -> RuleViolation:
    """The question to the supplier, as a violation with the code of the gravest doubt. It names all fields."""
    first = doubts[0]
    question = RuleViolation(first.code.value, " ".join(str(doubt.text) for doubt in doubts), status=409)
    for doubt in doubts:
        question.errors.setdefault(doubt.field, []).append(doubt.text)
    question.params = {"usual": first.usual}
    return question


_IN_DOUBT: Final = ("quantity", "unit_price", "currency", "certificate_number", "certificate_valid_until")


def facts_in_doubt(facts: Mapping[str, Any] | Offer) -> str:
    """The facts that doubts are about, as one text: a confirmation holds for these only."""
    values = [getattr(facts, name) if isinstance(facts, Offer) else facts.get(name) for name in _IN_DOUBT]
    # A form gives 2.5 and a row 2.5000.
    return "|".join(f"{one.normalize():f}" if isinstance(one, Decimal) else str(one) for one in values)


def doubts_now(offer: Offer, now: dt.datetime) -> list[OfferDoubt]:
    """What is doubtful about one draft that could go out, for the pages of its supplier and of the desk."""
    if offer.state != OfferState.DRAFT or not offer.quantity or offer.item.is_unlisted:
        return []
    return doubts_about(offer, Usual.of(offer.organisation, [offer.item]), now.date())


def reviews(offer: Offer, user: User | None) -> bool:
    """Whether the user may send the offer out whatever is doubtful: a coordinator with eyes of their own.

    That is none who posted it, changed the draft or belongs to the supplier.
    """
    if user is None or user.pk == offer.posted_by_id:
        return False
    if any(grant.organisation_id == offer.organisation_id for grant in user.grants):
        return False
    if not can(user, Permission.COORDINATE, offer.organisation) and not is_in_charge(user, offer.origin_region):
        return False
    return offer.state != OfferState.DRAFT or not audit.has_done(user, "offer.amended", offer)
