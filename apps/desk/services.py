"""The verbs of the desk: the only writer of this app's tables."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.demands import decisions
from apps.demands import services as demands_services
from apps.demands.models import Demand
from apps.desk.models import DeskNote, Handling, NoteKind
from apps.fulfilment.models import Order
from apps.fulfilment.services import accept_match
from apps.matching import services as matching_services
from apps.matching.desks.asking import ask_offer
from apps.matching.models import DeclineReason, Match
from apps.supply.models import Offer

# More are shown on no page.
MOST_AT_ONCE = 200


@transaction.atomic
def take_need(demand: Demand, *, by: User, instead_of: int | None = None, now: dt.datetime | None = None) -> None:
    """See to a need from now on: one that nobody has, or in place of the colleague with this key.

    Raises `taken_by_other` if somebody else has it.
    """
    now = now or timezone.now()
    own = Handling.objects.filter(demand=demand, owner__in=[by.pk, *([instead_of] if instead_of else [])])
    if not own.exists():
        try:
            with transaction.atomic():
                Handling.objects.create(demand=demand, owner=by, since=now)
        except IntegrityError:
            other = Handling.objects.select_related("owner").get(demand=demand)
            text = _("%(name)s already sees to it.") % {"name": other.owner.name}
            raise RuleViolation("taken_by_other", text) from None
    else:
        own.exclude(owner=by).update(owner=by, since=now)
    audit.record(by, "demand.taken", demand, instead_of=instead_of)


@transaction.atomic
def leave_need(demand: Demand, *, by: User) -> None:
    """See to a need no more. Raises `not_yours` if somebody else does, or nobody."""
    gone, _of_which = Handling.objects.filter(demand=demand, owner=by).delete()
    if not gone:
        raise RuleViolation("not_yours", _("You do not see to it."))
    audit.record(by, "demand.left", demand)


@transaction.atomic
def write_note(demand: Demand, *, by: User, text: str) -> DeskNote:
    """Write something down for colleagues. The requester does not read it. Raises `note_missing`."""
    text = text.strip()
    if not text:
        raise RuleViolation("note_missing", _("Write a note."), field="note")
    return DeskNote.objects.create(demand=demand, by=by, text=text)


class BulkAct(models.TextChoices):
    NOTE = "note", _("Add the note")
    TAKE = "take", _("I see to them")
    CONFIRM = "confirm", _("Still needed")
    EXTEND = "extend", _("Two hours more")
    PAUSE = "pause", _("Pause")


@dataclass
class BulkOutcome:
    """Of how many needs it was done, and of which others why not."""

    done: int = 0
    refused: list[tuple[Demand, RuleViolation]] = field(default_factory=list)


def act_on_many(
    demands: Iterable[Demand], act: str, *, by: User, note: str = "", now: dt.datetime | None = None
) -> BulkOutcome:
    """Do the same to many needs, each for itself, so that one that cannot be holds up no other.

    The note is kept with each of them. That on a pause is the reason, which the requester reads.
    """
    now = now or timezone.now()
    outcome = BulkOutcome()
    for demand in demands:
        try:
            with transaction.atomic():
                _act(demand, act, by, note, now)
                if note.strip() or act == BulkAct.NOTE:
                    write_note(demand, by=by, text=note)
        except RuleViolation as violation:
            outcome.refused.append((demand, violation))
        else:
            outcome.done += 1
    return outcome


def _act(demand: Demand, act: str, by: User, note: str, now: dt.datetime) -> None:
    match BulkAct(act):
        case BulkAct.TAKE:
            take_need(demand, by=by, now=now)
        case BulkAct.CONFIRM:
            demands_services.confirm_demand(demand, by=by, now=now)
        case BulkAct.EXTEND:
            decisions.give_more_time(demand, by=by, now=now)
        case BulkAct.PAUSE:
            demands_services.pause_demand(demand, by=by, reason=note.strip(), now=now)
        case BulkAct.NOTE:
            pass


def _check_no_side(demand: Demand, offer: Offer, by: User) -> None:
    """Raise `own_side` (403) for somebody who belongs to the requester or to the supplier: they decide for nobody."""
    if {demand.organisation_id, offer.organisation_id} & {grant.organisation_id for grant in by.grants}:
        text = _("You belong to one of the two sides: another coordinator has to do this.")
        raise RuleViolation("own_side", text, status=403)


def note_look(demand: Demand, offer: Offer, *, by: User) -> dict[str, str]:
    """The contact of the supplier of an offer, for a call about a need. The look is written down."""
    audit.record(by, "contact.seen", offer.organisation, demand=demand.pk)
    contact: dict[str, str] = offer.organisation.contact
    return contact


@transaction.atomic
def ask_now(demand: Demand, offer: Offer, *, by: User, now: dt.datetime | None = None) -> Match:
    """Ask this offer for all that it has and the need wants. Raises as `ask_offer` does, and `own_side`."""
    _check_no_side(demand, offer, by)
    match = ask_offer(demand, offer, now=now)
    audit.record(by, "match.asked_by_hand", match)
    DeskNote.objects.create(
        demand=demand, by=by, kind=NoteKind.ASKED, offer=offer, match=match, quantity=match.quantity
    )
    return match


@transaction.atomic
def note_yes(
    demand: Demand, offer: Offer, *, by: User, quantity: int, text: str = "", now: dt.datetime | None = None
) -> Order:
    """The supplier said yes by phone to so much: an accepted match and its order, taken by this coordinator.

    A request that waits already is accepted, as far as it goes. Raises as `ask_offer` and `accept_match` do, and
    `own_side`.
    """
    _check_no_side(demand, offer, by)
    match = ask_offer(demand, offer, quantity=quantity, on_their_word=True, now=now)
    order = accept_match(match, by=by, quantity=quantity, now=now)
    audit.record(by, "match.accepted_by_phone", match, quantity=quantity)
    DeskNote.objects.create(
        demand=demand, by=by, kind=NoteKind.YES, offer=offer, match=match, quantity=quantity, text=text.strip()
    )
    return order


@transaction.atomic
def note_no(
    demand: Demand, offer: Offer, *, by: User, reason: str, text: str = "", now: dt.datetime | None = None
) -> None:
    """The supplier said no by phone, and why. A request of it that waits is declined so."""
    _check_no_side(demand, offer, by)
    waiting = Match.objects.held().filter(demand=demand, offer=offer).first()
    if waiting is not None:
        matching_services.decline(waiting, by=by, reason=reason, note=text.strip(), now=now)
    why = str(DeclineReason(reason).label)
    said = f"{why}. {text.strip()}" if text.strip() else why
    DeskNote.objects.create(demand=demand, by=by, kind=NoteKind.NO, offer=offer, match=waiting, text=said[:500])


@transaction.atomic
def note_no_answer(demand: Demand, offer: Offer, *, by: User, text: str = "") -> None:
    """Nobody answered the phone."""
    DeskNote.objects.create(demand=demand, by=by, kind=NoteKind.NO_ANSWER, offer=offer, text=text.strip())


def taken_by_phone(match: Match) -> DeskNote | None:
    """The call in which a match was accepted, with who took it; None for one that its supplier accepted itself."""
    return DeskNote.objects.filter(match=match, kind=NoteKind.YES).select_related("by").order_by("-pk").first()
