"""The verbs of a match from its acceptance on. Only fulfilment calls them: import-linter holds that.

An acceptance without its order would promise goods that nobody ships, so edges accept through fulfilment.
"""

import datetime as dt
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.posts import check_not_blocked
from apps.core.states import move
from apps.demands import quantities as demands_quantities
from apps.matching.explanation.wording import why_not_to_answer
from apps.matching.holds.plans import describe
from apps.matching.holds.release import lock
from apps.matching.models import DeclineReason, Match, MatchState
from apps.notifications.services import queue
from apps.supply import quantities as supply_quantities


def still_held(match: Match, now: dt.datetime, also: Iterable[int] = ()) -> Match:
    """The match, read under the locks of its demand, its offer and the demands in `also`.

    Raises `match_not_held`, with the reason in words, where it cannot be answered any more.
    """
    lock([match.demand_id, *also], [match.offer_id])
    # Read anew under the locks: somebody may have answered, or the time may have passed, since the caller read it.
    match = Match.objects.shown().get(pk=match.pk)
    if match.state == MatchState.HELD and match.respond_by and match.respond_by > now:
        return match
    raise RuleViolation("match_not_held", why_not_to_answer(match.state), state=match.state)


@transaction.atomic
def record_acceptance(
    match: Match,
    *,
    by: User | None,
    quantity: int | None = None,
    lead_time_days: int | None = None,
    now: dt.datetime | None = None,
) -> Match:
    """The supplier accepts all (None) or part of the held quantity. The rest goes to others.

    Called by `fulfilment.services.accept_match` only, which makes the order in the same transaction. Raises
    `match_not_held`, `quantity_out_of_range`, `demand_not_open` and as `check_may_be_promised` does.
    """
    now = now or timezone.now()
    match = still_held(match, now)
    held = match.quantity
    accepted = held if quantity is None else quantity
    if not 0 < accepted <= held:
        raise RuleViolation(
            "quantity_out_of_range",
            _("You can accept from 1 to %(held)s.") % {"held": f"{held:,}"},
            field="quantity",
            held=held,
        )
    check_may_be_promised(match, now)
    # One conditional UPDATE decides whether the need is still open: no other check could be overtaken.
    if not demands_quantities.record_acceptance(match.demand_id, held=held, accepted=accepted, now=now):
        raise RuleViolation("demand_not_open", _("The need is not open any more."))
    # The offer is released even by 0: what lower tiers left there for this need, others may have now.
    if accepted < held or match.demand.quantity_remaining:
        supply_quantities.release({match.offer_id: held - accepted}, now=now)
    move(
        match,
        MatchState.ACCEPTED,
        quantity=accepted,
        lead_time_days=match.offer.lead_time_days if lead_time_days is None else lead_time_days,
        responded_at=now,
        responded_by=by,
    )
    audit.record(by, "match.accepted", match, quantity=accepted)
    queue("match.accepted", match.demand.organisation, describe(match), key=f"match.accepted:{match.pk}")
    return match


def check_may_be_promised(match: Match, now: dt.datetime) -> None:
    """Raise unless both sides are verified, nothing is blocked and the certificate is valid: only then may goods be
    promised.

    The next sweep ends a hold that fails this. Until then nobody gets a contact by it. Raises
    `organisation_unverified`, `blocked` or `certificate_expired`.
    """
    if not (match.demand.organisation.is_verified and match.offer.organisation.is_verified):
        raise RuleViolation("organisation_unverified", _("One side is not verified any more."))
    check_not_blocked(match.offer)
    check_not_blocked(match.demand)
    if not match.offer.certificate_holds(now.date()):
        raise RuleViolation("certificate_expired", _("The certificate has expired."))


def record_loss(match: Match, quantity: int) -> None:
    """Count units that the supplier accepted and that were rejected or never came."""
    Match.objects.filter(pk=match.pk).update(quantity_lost=F("quantity_lost") + quantity)


@transaction.atomic
def call_off(match: Match, *, by: User | None, by_supplier: bool) -> None:
    """Cancel an accepted match whose order was cancelled. Fulfilment gives the quantities back.

    A cancellation by the supplier counts in its record. Raises `RuleViolation` if the match is not accepted.
    """
    # A reason on a cancelled match is what marks it as broken by the supplier (`models.BROKEN`).
    move(match, MatchState.CANCELLED, decline_reason=DeclineReason.OTHER if by_supplier else "")
    audit.record(by, "match.called_off", match)
