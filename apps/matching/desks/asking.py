"""A coordinator asks one offer for one need: what a sweep would not ask, or what a supplier says by phone."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.core.errors import RuleViolation
from apps.demands.models import Demand, DemandState
from apps.matching.exclusions import not_to_be_asked
from apps.matching.explanation.outlook import BIT, latest_of, offers_among
from apps.matching.holds.plans import hold_one
from apps.matching.holds.release import lock
from apps.matching.loading import load_rules, need_of, source_of
from apps.matching.models import Match, MatchState
from apps.matching.scoring.eligibility import Reason, fit_of, why_not
from apps.matching.scoring.facts import Fit
from apps.matching.scoring.ranking import score
from apps.policy.models import Policy
from apps.supply.models import Offer, OfferState

# Of one offer for one need.
WORDS: Final = {
    Reason.OWN: _("the requester's own"),
    Reason.SUBSTITUTE: _("another item, which the requester does not accept"),
    Reason.STANDARD: _("not the standard that is asked for"),
    Reason.REGION: _("does not ship there"),
    Reason.MINIMUM: _("its minimum order is more than is needed"),
    Reason.STOCK: _("nothing is free"),
    Reason.LITTLE: _("little is left"),
    Reason.ASKED_BEFORE: _("was asked before"),
    Reason.FAR: _("a gift that waits for a need nearby"),
    Reason.CERTIFICATE: _("its certificate has run out"),
    Reason.UNVERIFIED: _("the supplier is not verified"),
    Reason.STALE: _("nobody confirmed it for long"),
    Reason.PAUSED: _("paused"),
}
# A coordinator decides on these, and nobody else is bound by them.
_OF_SWEEPS: Final = frozenset({Reason.ASKED_BEFORE, Reason.FAR, Reason.LITTLE})
# The offer's own terms, which its supplier may leave aside.
_OF_SUPPLIERS: Final = frozenset({Reason.MINIMUM, Reason.REGION})


@dataclass(frozen=True)
class Helper:
    """An offer that could help a need, and what speaks against it."""

    offer: Offer
    against: tuple[Reason, ...]

    @property
    def words(self) -> list[str]:
        return [str(WORDS[reason]) for reason in self.against]


def who_could_help(demand: Demand, *, now: dt.datetime, limit: int = 12) -> list[Helper]:
    """Offers for an open need (fetched with `shown()`), those that fit first."""
    if demand.state != DemandState.OPEN or not demand.organisation.is_verified:
        return []
    policy, rules = Policy.objects.current().values, load_rules()
    need = need_of(demand, policy, remaining=max(1, demand.quantity_remaining))
    need = replace(need, excluded=not_to_be_asked([need])[need.id])
    latest = latest_of(rules.offered_for(demand.item_id, accepts_substitutes=True))
    found = offers_among(latest, demand, need, rules, policy, now).order_by(
        *(F("mask").bitand(bit) for reason, bit in BIT.items() if reason not in _OF_SWEEPS), "-free", "pk"
    )
    masks = dict(found.values_list("pk", "mask")[:limit])
    offers = Offer.objects.shown().in_bulk(list(masks))
    return [
        Helper(offers[pk], tuple(reason for reason, bit in BIT.items() if mask & bit))
        for pk, mask in masks.items()
        if pk in offers
    ]


@transaction.atomic
def ask_offer(
    demand: Demand,
    offer: Offer,
    *,
    quantity: int | None = None,
    on_their_word: bool = False,
    now: dt.datetime | None = None,
) -> Match:
    """Hold this offer for this need now, for so much (None: all that fits), and tell both sides.

    `on_their_word`: the supplier is on the phone and gets no request; what its offer's own terms refuse, it may
    promise. A request that waits already is given back as it is. The rules of stock and of what the requester wants
    hold: raises `demand_not_open`, `offer_not_published`, `offer_does_not_fit`, `quantity_out_of_range`.
    """
    now = now or timezone.now()
    demand = lock([demand.pk], [offer.pk])[demand.pk]
    offer = Offer.objects.shown().get(pk=offer.pk)
    waiting = (
        Match.objects.shown().filter(demand=demand, offer=offer, state=MatchState.HELD, respond_by__gt=now).first()
    )
    if waiting is not None:
        return waiting
    if demand.state != DemandState.OPEN or not demand.organisation.is_verified:
        raise RuleViolation("demand_not_open", _("The need is not open any more."))
    if offer.state != OfferState.PUBLISHED or not offer.organisation.is_verified:
        raise RuleViolation("offer_not_published", _("The offer is not published now. Its supplier has to confirm it."))
    most = min(demand.quantity_remaining, offer.quantity_free)
    asked = most if quantity is None else quantity
    if not 0 < asked <= most:
        text = _("At most %(most)s: more is not needed of anybody else, or not free.") % {"most": f"{max(0, most):,}"}
        raise RuleViolation("quantity_out_of_range", text, field="quantity", most=most)

    policy, rules = Policy.objects.current(), load_rules()
    need = need_of(demand, policy.values, remaining=asked)
    source = source_of(offer, free=offer.quantity_free)
    ignoring = _OF_SWEEPS | (_OF_SUPPLIERS if on_their_word else frozenset())
    reason = why_not(need, source, rules, policy=policy.values, now=now, ignoring=ignoring)
    fit = fit_of(need, offer.item_id, offer.standard_id, rules)
    if reason is not None or not isinstance(fit, Fit):
        words = WORDS.get(reason or Reason.STANDARD, "")
        raise RuleViolation("offer_does_not_fit", _("This offer cannot be asked: %(why)s.") % {"why": words})
    candidate = score(need, source, fit, rules, policy=policy.values, now=now)
    last = Match.objects.filter(demand=demand).aggregate(last=Max("rank"))["last"]
    match = hold_one(
        candidate, asked, demand, offer, policy, now, rank=(last or 0) + 1, tells_supplier=not on_their_word
    )
    if match is None:
        raise RuleViolation("offer_not_free", _("This has just changed. Look again."))
    return match
