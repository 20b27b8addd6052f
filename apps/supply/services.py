"""The verbs of supply: with `quantities.py`, `amending.py` and `freshness.py` the only writer of this app's tables."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item, ItemStandard, Region
from apps.catalogue.units import MAX_QUANTITY
from apps.core import audit
from apps.core.errors import RuleViolation, Text
from apps.core.posts import (
    change_state,
    check_not_blocked,
    hold_for_review,
    return_to_owner,
)
from apps.notifications.services import queue
from apps.policy.models import Policy
from apps.supply.models import Offer, OfferState, OfferStateCode
from apps.supply.review import OfferDoubt, Usual, doubts_about, question_about, reviews

# Offers that are published between two words on progress.
_TOLD_EVERY: Final = 50


@dataclass(frozen=True)
class References:
    """What the catalogue has of what some offers refer to: one look for a whole sheet."""

    standards: frozenset[tuple[int, int]]  # ids of items and of their standards
    regions: frozenset[str]

    @classmethod
    def of(cls, offers: Iterable[Mapping[str, Any]]) -> Self:
        """`offers` are the arguments of `create_offer`."""
        offers = list(offers)
        standards = {facts["standard"] for facts in offers if facts.get("standard")}
        codes = {code for facts in offers for code in facts.get("ships_to") or ()}
        items = ItemStandard.objects.filter(item__in={facts["item"] for facts in offers}, standard__in=standards)
        return cls(
            frozenset(items.values_list("item_id", "standard_id")) if standards else frozenset(),
            frozenset(Region.objects.filter(code__in=codes).values_list("code", flat=True)) if codes else frozenset(),
        )


def check_facts(offer: Offer, references: References | None = None) -> None:
    """Raise every fault of an offer at once, in words."""
    errors: dict[str, list[Text]] = {}
    in_range = _("A quantity is a whole number up to 1,000,000,000,000.")
    if not 0 <= offer.quantity <= MAX_QUANTITY:
        errors["quantity"] = [in_range]
    elif offer.quantity < offer.quantity_reserved:
        errors["quantity"] = [
            _("%(promised)s of it are reserved already.") % {"promised": f"{offer.quantity_reserved:,}"}
        ]
    if offer.daily_capacity is not None and not 0 < offer.daily_capacity <= MAX_QUANTITY:
        errors["daily_capacity"] = [in_range]
    if not 0 < offer.minimum_order <= MAX_QUANTITY:
        errors["minimum_order"] = [_("The minimum order is at least 1.")]
    if offer.unit_price is not None and offer.unit_price < 0:
        errors["unit_price"] = [_("A price cannot be negative.")]
    if offer.is_donation and offer.unit_price:
        errors["unit_price"] = [_("A donation has no price.")]
    if references is None:
        facts = {"item": offer.item, "standard": offer.standard, "ships_to": offer.ships_to}
        references = References.of([facts])
    errors |= _check_references(offer, references)
    if errors:
        raise RuleViolation.of_fields(errors, _("Some of the information is not valid."))


def _check_references(offer: Offer, known: References) -> dict[str, list[Text]]:
    """The faults of the offer's references to the catalogue, by field."""
    errors: dict[str, list[Text]] = {}
    if offer.standard and (offer.item_id, offer.standard_id) not in known.standards:
        errors["standard"] = [
            _("“%(standard)s” is not a standard for %(item)s.") % {"standard": offer.standard, "item": offer.item}
        ]
    # An array of codes has no foreign key, so nothing else checks them.
    if unknown := [code for code in offer.ships_to if code not in known.regions]:
        errors["ships_to"] = [_("There is no region %(codes)s.") % {"codes": ", ".join(unknown)}]
    return errors


def draft_offer(
    organisation: Organisation,
    *,
    item: Item,
    by: User | None,
    origin_region: Region | None = None,
    references: References | None = None,
    **facts: Any,
) -> Offer:
    """An offer that is checked and not yet saved: for previews and bulk imports, which look up `references` before."""
    if not organisation.can_supply:
        raise RuleViolation("not_a_supplier", _("This kind of organisation does not publish offers."))
    offer = Offer(
        organisation=organisation,
        posted_by=by,
        item=item,
        origin_region=origin_region or organisation.region,
        **facts,
    )
    check_facts(offer, references)
    return offer


@transaction.atomic
def create_offer(
    organisation: Organisation, *, item: Item, by: User | None, origin_region: Region | None = None, **facts: Any
) -> Offer:
    """Draft an offer. Ships from the organisation's own region unless said otherwise."""
    offer = draft_offer(organisation, item=item, by=by, origin_region=origin_region, **facts)
    offer.save()
    audit.record(by, "offer.created", offer)
    return offer


@dataclass(frozen=True)
class OfferOutcome:
    """What became of an offer that was posted.

    `violation` says in words, and by its public code, why it is kept as a draft although it was to be published.
    """

    offer: Offer
    violation: RuleViolation | None = None


@transaction.atomic
def post_offer(
    organisation: Organisation, *, by: User, publish: bool = False, confirmed: bool = False, **facts: Any
) -> OfferOutcome:
    """Draft an offer (`create_offer`) and, if asked to, `publish` it: what became of it.

    What may not be published yet is kept as a draft. `confirmed` as in `publish_offer`.
    """
    offer = create_offer(organisation, by=by, **facts)
    if not publish:
        return OfferOutcome(offer)
    try:
        return OfferOutcome(publish_offer(offer, by=by, confirmed=confirmed))
    except RuleViolation as violation:
        return OfferOutcome(offer, violation)


@transaction.atomic
def create_offers(
    organisation: Organisation,
    rows: Sequence[Mapping[str, Any]],
    *,
    by: User | None,
    publish: bool = False,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> list[Offer]:
    """Draft many offers, all or none; publish them too if asked to.

    Whoever publishes many has seen the questions in the preview. What is gravely doubtful waits for a coordinator.
    `on_progress` is told now and then how many are done.
    """
    if publish:
        # Read before the offers are there: they are no measure of themselves.
        usual = Usual.of(organisation, [row["item"] for row in rows])
    # Each row is checked again as it is saved: the preview may be old.
    references = References.of(rows)
    offers = Offer.objects.bulk_create([draft_offer(organisation, by=by, references=references, **row) for row in rows])
    audit.record(by, "offers.imported", organisation, offers=[offer.pk for offer in offers])
    if publish:
        for done, offer in enumerate(offers):
            if done % _TOLD_EVERY == 0:
                on_progress(done)
            publish_offer(offer, by=by, confirmed=True, usual=usual)
    return offers


@transaction.atomic
def publish_offer(
    offer: Offer,
    *,
    by: User | None,
    confirmed: bool = False,
    usual: Usual | None = None,
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> Offer:
    """Publish a draft, paused or stale offer: from this commit on it is matched.

    What is doubtful about a draft is asked about first; once `confirmed`, a draft with a grave doubt waits for a
    coordinator, who publishes or returns it. Code that publishes many passes what is `usual`. `seen` is the
    `updated_at` of the draft that a coordinator looked at. Raises `organisation_unverified`, `item_unlisted`,
    `quantity_missing`, `certificate_expired`, `state_changed` if the draft changed since `seen`, and
    `quantity_unusual`, `price_unusual` or `certificate_doubtful` unless confirmed.
    """
    now = now or timezone.now()
    if seen is not None:
        offer = Offer.objects.select_for_update(of=["self"], no_key=True).shown().get(pk=offer.pk)
        if offer.updated_at != seen:
            raise RuleViolation("state_changed", _("This offer has just changed. Check it and try again."))
    if not offer.organisation.is_verified:
        raise RuleViolation(
            "organisation_unverified",
            _("Your offer is saved. It can be published as soon as “%(name)s” is verified.")
            % {"name": offer.organisation},
        )
    check_not_blocked(offer)
    check_can_go_out(offer, now)
    # What was published before was judged then, and when it was amended.
    if offer.state == OfferState.DRAFT:
        doubts = doubts_about(offer, usual or Usual.of(offer.organisation, [offer.item]), now.date())
        if doubts and not reviews(offer, by):
            if not confirmed:
                raise question_about(doubts)
            if doubts[0].is_grave:
                return _hold_back(offer, doubts[0], by=by, now=now)
    change_state(
        offer,
        OfferState.PUBLISHED,
        now=now,
        changes={
            "published_at": offer.published_at or now,
            "confirmed_at": now,
            "asked_at": None,
            "review_requested_at": None,
            "escalates_at": None,
        },
    )
    audit.record(by, "offer.published", offer)
    return offer


def _hold_back(offer: Offer, doubt: OfferDoubt, *, by: User | None, now: dt.datetime) -> Offer:
    """Leave a draft waiting for the nearest coordinator, who is notified.

    If nobody looks in time, its clock escalates it to the next coordinator up. A draft that waits already keeps its
    place and its clock.
    """
    clock = {"escalates_at": now + Policy.objects.current().values.offer_escalates_after}
    # Asked again while it waits, it is not announced again.
    if hold_for_review(offer, doubt.code, now=now, changes=clock):
        audit.record(by, "offer.held_for_review", offer, quantity=offer.quantity, why=doubt.code)
        coordinator = Organisation.objects.coordinating(offer.origin_region).first()
        if coordinator:
            context = {**describe(offer), "why": doubt.code}
            # The time is part of the key, because a draft may wait for review several times.
            queue(
                "offer.held_for_review",
                coordinator,
                context,
                key=f"offer.held_for_review:{offer.pk}:{now:%Y%m%d%H%M%S}",
            )
    offer.refresh_from_db()
    return offer


@transaction.atomic
def approve_offer(offer: Offer, *, by: User, seen: dt.datetime | None = None, now: dt.datetime | None = None) -> Offer:
    """Publish a doubtful draft after a look. Raises `needs_other_eyes` (403) for who posted, changed or belongs."""
    if not reviews(offer, by):
        raise RuleViolation(
            "needs_other_eyes",
            _("You posted or changed this offer, or belong to its supplier: another coordinator has to look at it."),
            status=403,
        )
    return publish_offer(offer, by=by, seen=seen, now=now)


@transaction.atomic
def return_offer(offer: Offer, *, by: User, reason: str, now: dt.datetime | None = None) -> Offer:
    """Return a draft that waits for review to its supplier, who is told why and may publish it again."""
    now = now or timezone.now()
    if not reason.strip():
        raise RuleViolation("reason_missing", _("Say what the supplier should change."), field="reason")
    return_to_owner(offer, reason=reason, changes={"escalates_at": None})
    audit.record(by, "offer.returned", offer, reason=reason)
    context = {**describe(offer), "reason": offer.state_note}
    queue("offer.returned", offer.organisation, context, key=f"offer.returned:{offer.pk}:{now:%Y%m%d%H%M%S}")
    return offer


def check_can_go_out(offer: Offer, now: dt.datetime) -> None:
    """Raise `item_unlisted`, `quantity_missing` or `certificate_expired` if an offer cannot be published yet."""
    # These are no faults of a draft, which may wait for a long time: goods and certificate may come later.
    if offer.item.is_unlisted:
        raise RuleViolation("item_unlisted", _("Choose an item from the catalogue first."), field="item")
    if offer.quantity <= 0:
        raise RuleViolation("quantity_missing", _("Say how much you offer."), field="quantity")
    if not offer.certificate_holds(now.date()):
        raise RuleViolation("certificate_expired", _("The certificate has expired."), field="certificate_valid_until")


@transaction.atomic
def pause_offer(offer: Offer, *, by: User, reason: str = "", now: dt.datetime | None = None) -> Offer:
    """Promise nothing new for a while. The next matching takes back the requests that are not answered."""
    # A pause by its owner would take the block away.
    check_not_blocked(offer)
    change_state(offer, OfferState.PAUSED, now=now or timezone.now(), note=reason)
    audit.record(by, "offer.paused", offer, reason=reason)
    return offer


@transaction.atomic
def confirm_offer(offer: Offer, *, by: User, now: dt.datetime | None = None) -> Offer:
    """Confirm that the goods are still there: the offer's freshness starts anew. A stale offer is published again.

    Needs that the supplier declined before may be asked again.
    """
    now = now or timezone.now()
    if offer.state == OfferState.STALE:
        return publish_offer(offer, by=by, now=now)
    if (
        not Offer.objects.published()
        .filter(pk=offer.pk)
        .update(confirmed_at=now, asked_at=None, match_requested_at=now)
    ):
        raise RuleViolation("illegal_move", _("Only a published offer can be confirmed."))
    audit.record(by, "offer.confirmed", offer)
    offer.refresh_from_db()
    return offer


@transaction.atomic
def withdraw_offer(offer: Offer, *, by: User, reason: str = "", now: dt.datetime | None = None) -> Offer:
    """Withdraw an offer for good. Accepted quantities are orders by now, and are cancelled as orders."""
    change_state(offer, OfferState.WITHDRAWN, now=now or timezone.now(), note=reason)
    audit.record(by, "offer.withdrawn", offer, reason=reason)
    return offer


@transaction.atomic
def suspend_gone(offer_id: int, *, withdrawn: int, now: dt.datetime) -> bool:
    """Suspend an offer because its supplier answered a request with "the goods are gone".

    The supplier can confirm it again by one click. `withdrawn` is how many other requests for the goods were taken
    back. False if the offer was not published.
    """
    offer = Offer.objects.shown().get(pk=offer_id)
    if offer.state != OfferState.PUBLISHED:
        return False
    change_state(offer, OfferState.STALE, now=now, code=OfferStateCode.GOODS_GONE)
    queue(
        "offer.gone",
        offer.organisation,
        {**describe(offer), "withdrawn": withdrawn},
        # With the last confirmation: an offer that was confirmed again may be gone again.
        key=f"offer.gone:{offer.pk}:{offer.confirmed_at:%Y%m%d%H%M%S%f}",
    )
    return True


@transaction.atomic
def claim_for_matching(*, now: dt.datetime, lease: dt.timedelta, limit: int) -> list[Offer]:
    """Claim changed offers for `lease`. If the worker dies, the next sweep after the lease finds them."""
    # Each sweep asks twice, and mostly there is none: without joins this costs a fifth.
    if not Offer.objects.awaiting_match(now).exists():
        return []
    claimed = list(Offer.objects.next_to_match(now).shown()[:limit])
    Offer.objects.claim(claimed, until=now + lease)
    return claimed


def request_matching(offer_ids: Collection[int], *, now: dt.datetime) -> int:
    """Have matching look for needs that these published offers serve, e.g. because their supplier is verified again."""
    return Offer.objects.published().filter(pk__in=offer_ids).update_in_order(match_requested_at=now)


def finish_matching(offers: Sequence[Offer], *, again: Collection[int] = (), at: dt.datetime | None = None) -> None:
    """Take claimed offers off the queue, unless they changed again. Those in `again` are queued anew for `at`."""
    Offer.objects.finish(offers, again=again, at=at)


def set_escalations(times: Mapping[int, dt.datetime | None]) -> None:
    """Set the time of the next escalation by offer, or None if there is no coordinator further up."""
    Offer.objects.all().set_escalations(times)


def describe(offer: Offer) -> dict[str, Any]:
    """The facts of an offer for a message, without contacts. Texts are in both languages, for readers of either."""
    return {
        "offer_id": offer.pk,
        "organisation": offer.organisation.name,
        "item": offer.item.names,
        "unit": offer.item.unit.short_names,
        "quantity": offer.quantity,
        "quantity_free": offer.quantity_free,
    }
