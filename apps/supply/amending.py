"""The verb that changes the facts of an offer. Only matching may call it, which a contract of import-linter checks.

Suppliers may have been asked for goods of the offer as it was. Matching takes back the requests that do not fit first.
"""

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.supply.models import Offer, OfferState, OfferStateCode
from apps.supply.review import Usual, doubts_about, facts_in_doubt, question_about, reviews
from apps.supply.services import check_facts


@transaction.atomic
def amend_offer(
    offer: Offer, *, by: User, confirmed: bool = False, now: dt.datetime | None = None, **changes: Any
) -> Offer:
    """Change facts of an offer. The quantity cannot go below what is reserved.

    Only `matching.services.amend_offer` calls this, after it has taken back the unanswered requests that do not fit.
    An amendment cannot bring in what a new offer would be stopped for: it raises the question about a doubt unless it
    is `confirmed`, and `look_needed` where a coordinator has to look first. Raises `illegal_move`, `item_fixed`,
    `quantity_missing` and every fault of the facts (`check_facts`).
    """
    now = now or timezone.now()
    offer = (
        Offer.objects.select_for_update(of=["self"], no_key=True)
        .select_related("item", "organisation", "standard")
        .get(pk=offer.pk)
    )
    if not offer.can_be_amended:
        raise RuleViolation("illegal_move", _("This offer is withdrawn."))
    if "item" in changes and changes["item"] != offer.item and offer.state != OfferState.DRAFT:
        raise RuleViolation("item_fixed", _("The item is fixed once an offer is published."), field="item")

    changed = {name: value for name, value in changes.items() if getattr(offer, name) != value}
    doubted_before = facts_in_doubt(offer)
    for name, value in changed.items():
        setattr(offer, name, value)
    check_facts(offer)
    if offer.state != OfferState.DRAFT and offer.quantity == 0:
        raise RuleViolation("quantity_missing", _("Nothing left? Then pause or withdraw the offer."), field="quantity")

    if offer.state != OfferState.DRAFT and facts_in_doubt(offer) != doubted_before and not reviews(offer, by):
        _check_no_doubt(offer, changed, now, confirmed=confirmed)
    # The coordinator's note stays, and the code says that the owner has changed the offer since.
    if changed and offer.state_code == OfferStateCode.RETURNED:
        changed["state_code"] = offer.state_code = OfferStateCode.RETURNED_AND_AMENDED
    if changed:
        # An amendment counts as a confirmation, because its author has looked at the offer. A draft has none yet.
        fresh: dict[str, Any] = {"match_requested_at": now}
        if offer.confirmed_at:
            fresh |= {"confirmed_at": now, "asked_at": None}
        for name, value in fresh.items():
            setattr(offer, name, value)
        offer.save(update_fields=[*changed, *fresh])
        audit.record(by, "offer.amended", offer, fields=sorted(changed.keys() - {"state_code"}))
    offer.refresh_from_db()
    return offer


def _check_no_doubt(offer: Offer, changed: Collection[str], now: dt.datetime, *, confirmed: bool) -> None:
    """Raise if what was changed would be asked about, or held, in a new offer."""
    doubts = [
        doubt
        for doubt in doubts_about(offer, Usual.of(offer.organisation, [offer.item]), now.date())
        if doubt.field in changed
    ]
    if doubts and not confirmed:
        raise question_about(doubts)
    if doubts and doubts[0].is_grave:
        raise RuleViolation(
            "look_needed",
            _("A coordinator has to look at this first. Publish it as a separate offer."),
            field=doubts[0].field,
        )
