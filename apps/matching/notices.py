"""Notices that follow from what matching did: requests taken back, nobody left to ask, news of a verification."""

import datetime as dt
from collections.abc import Sequence

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from apps.accounts import services as accounts_services
from apps.accounts.models import Organisation, OrganisationState
from apps.demands import services as demands_services
from apps.demands.models import Demand, DemandState
from apps.matching.holds.plans import describe
from apps.matching.models import WAS_ASKED, Match, MatchState
from apps.notifications.services import News, queue, queue_all
from apps.supply import services as supply_services
from apps.supply.models import Offer, OfferState

log = structlog.get_logger(__name__)


@transaction.atomic
def notify_withdrawn(*, limit: int = 500) -> int:
    """Notify suppliers, once, that an unanswered request was taken back. Returns how many were notified.

    A supplier that was asked anew, for another quantity say, gets none of these: the new request says what it replaces.
    """
    # Rows that another worker is notifying are skipped, so nobody gets the notice twice.
    due = Match.objects.withdrawal_notice_due().select_for_update(of=["self"], skip_locked=True, no_key=True)
    keys = list(due.order_by("pk").values_list("pk", flat=True)[:limit])
    if not keys:  # most sweeps end here; PostgreSQL takes 20 ms to plan the query for all that is shown of a match
        return 0
    pending = list(Match.objects.filter(pk__in=keys).shown().order_by("pk"))
    # A request that was replaced is not the newest of its pair. Backups were never asked and do not count.
    newest = set(
        Match.objects.filter(demand__in={match.demand_id for match in pending}, respond_by__isnull=False)
        .values("demand_id", "offer_id")
        .annotate(last=Max("pk"))
        .values_list("last", flat=True)
    )
    withdrawn = [match for match in pending if match.pk in newest]
    queue_all(
        [
            News(
                "match.withdrawn",
                match.offer.organisation,
                {**describe(match), "why": _why_withdrawn(match)},
                key=f"match.withdrawn:{match.pk}",
            )
            for match in withdrawn
        ]
    )
    # The mark goes for all of them, also for those that the new request speaks for.
    Match.objects.filter(pk__in=[match.pk for match in pending]).update(withdrawal_notice_pending=False)
    return len(withdrawn)


@transaction.atomic
def notify_nobody_left(claimed: Sequence[Demand]) -> None:
    """Notify requesters that no supplier is being asked any more, once for the last supplier that was.

    A need that was queued again since it was `claimed` is left out, because it is about to be decided once more.
    """
    left = Demand.objects.open().short().unasked_since(claimed).filter(quantity_held=0).order_by("pk")
    keys = list(left.values_list("pk", flat=True))
    if not keys:  # most needs had somebody asked, and what is shown of one takes long to plan
        return
    left = left.filter(pk__in=keys).shown()
    asked = Match.objects.filter(WAS_ASKED, demand__in=[demand.pk for demand in left])
    # The last supplier that was asked is part of the key: a need that asks more suppliers may come here again.
    last = dict(asked.values_list("demand_id").annotate(last=Max("pk")))
    queue_all(
        [
            News(
                "demand.nobody_left",
                demand.organisation,
                {**demands_services.describe(demand), "wanting": demand.quantity_remaining},
                key=f"demand.nobody_left:{demand.pk}:{last[demand.pk]}",
            )
            for demand in left
            if demand.pk in last
        ]
    )


def _why_withdrawn(match: Match) -> str:
    """Why a request was taken back, as a code of the template: judged by the state of both sides now."""
    demand, offer = match.demand, match.offer
    # Several may be true by now. The first one is told, which is also the one that its reader can do least about.
    if match.state == MatchState.SUPERSEDED:
        return "priority"
    if not (demand.organisation.is_verified and offer.organisation.is_verified):
        return "verification"
    if demand.state != DemandState.OPEN:
        return "ended"
    return "changed" if offer.state == OfferState.PUBLISHED else "offer"


@transaction.atomic
def announce_verifications(*, now: dt.datetime | None = None, limit: int = 200) -> int:
    """Notify organisations of their verification, and coordinators of who asks for one. Returns how many notices.

    This stands here because accounts is below the outbox and cannot notify anybody. Needs that a newly verified
    organisation posted meanwhile open, and what it has open is matched: matching passed over it until then. Of one that
    is not verified any more, what is held is queued, and matching takes it back.
    """
    now = now or timezone.now()
    organisations = accounts_services.take_unannounced(limit)
    if not organisations:  # most looks end here
        return 0
    verified = [organisation for organisation in organisations if organisation.is_verified]
    demands_services.open_awaiting(verified, now=now)
    others = [organisation for organisation in organisations if not organisation.is_verified]
    held = Match.objects.held()
    needs = [
        *Demand.objects.open().filter(organisation__in=verified).values_list("pk", flat=True),
        *held.filter(demand__organisation__in=others).values_list("demand", flat=True),
    ]
    demands_services.request_matching(needs, now=now)
    offers = [
        *Offer.objects.published().filter(organisation__in=verified).values_list("pk", flat=True),
        *held.filter(offer__organisation__in=others).values_list("offer", flat=True),
    ]
    supply_services.request_matching(offers, now=now)
    return sum(_announce(organisation, now) for organisation in organisations)


def _announce(organisation: Organisation, now: dt.datetime) -> bool:
    """Queue the notice that the state of an organisation calls for; False where it calls for none."""
    # The organisation itself hears of its verification, except that coordinators hear of who asks for one.
    recipient: Organisation | None = organisation
    match OrganisationState(organisation.state):
        case OrganisationState.PENDING:
            event, recipient = "organisation.submitted", Organisation.objects.coordinating(organisation.region).first()
        case OrganisationState.VERIFIED if organisation.verified_by_id:
            event = "organisation.verified"
        case OrganisationState.REJECTED:
            event = "organisation.rejected"
        case OrganisationState.UNVERIFIED if organisation.state_reason:
            event = "organisation.unverified"
        case _:
            return False  # imported as verified, or never anything else than unverified
    if recipient is None:
        log.warning("verification_without_coordinator", organisation=organisation.pk, region=organisation.region_id)
        return False
    queue(
        event,
        recipient,
        {
            "organisation_id": organisation.pk,
            "name": organisation.name,
            "region": organisation.region.full_names,
            "reason": organisation.state_reason,
            "verified_until": organisation.verified_until.isoformat() if organisation.verified_until else None,
            "can_request": organisation.can_request,
        },
        key=f"{event}:{organisation.pk}:{now:%Y%m%d%H%M%S}",
    )
    return True
