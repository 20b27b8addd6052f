"""What must be put before somebody: needs whose clock ran out, requests taken back, and news of a verification."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from apps.accounts import services as accounts_services
from apps.accounts.models import Organisation, OrganisationState
from apps.demands import clocks
from apps.demands import services as demands_services
from apps.demands.models import Demand, DemandState
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import outlook
from apps.matching.holds.plans import Done, describe
from apps.matching.models import WAS_ASKED, Escalation, Match, MatchState
from apps.notifications.services import News, queue, queue_all
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply import services as supply_services
from apps.supply.models import Offer, OfferState

log = structlog.get_logger(__name__)


def escalate_due(*, now: dt.datetime | None = None, limit: int = 200) -> Done:
    """Put needs whose clock ran out before the next coordinator up, with all that was tried; and needs that nobody
    looked at in time before the one above those who were asked to.
    """
    now = now or timezone.now()
    done = Done()
    pks = list(Demand.objects.escalation_due(now).order_by("pk").values_list("pk", flat=True)[:limit])
    policy = Policy.objects.current().values if pks else None
    for pk in pks:
        with transaction.atomic():
            due = Demand.objects.escalation_due(now).select_for_update(of=["self"], skip_locked=True, no_key=True)
            demand = due.shown().filter(pk=pk).first()
            if demand is not None and policy is not None:
                done.escalated += _escalate(demand, policy, now)
    return done


def _escalate(demand: Demand, policy: PolicyValues, now: dt.datetime) -> int:
    waits = demand.awaits_review
    since = demand.escalating_since
    assert since is not None, "a clock that rings has begun to run"
    before = Escalation.objects.filter(demand=demand, for_approval=waits, since=since)
    told = set(before.values_list("organisation_id", flat=True))
    # Of a need that waits to be looked at, the nearest coordinator was told when it began to wait.
    chain = list(Organisation.objects.coordinating(demand.region))[1 if waits else 0 :]
    nobody_told = [coordinator for coordinator in chain if coordinator.pk not in told]
    further = clocks.escalates_at(demand.urgency, now, policy) if len(nobody_told) > 1 else None
    demands_services.set_escalation(demand.pk, further)
    if not nobody_told:
        log.warning("escalation_without_coordinator", demand=demand.pk, region=demand.region_id)
        return 0

    coordinator = nobody_told[0]
    states = Counter(Match.objects.filter(WAS_ASKED, demand=demand).values_list("state", flat=True))
    tried = {str(state): count for state, count in sorted(states.items())}
    level = len(told) + 1
    Escalation.objects.create(
        demand=demand, organisation=coordinator, level=level, tried=tried, for_approval=waits, since=since
    )
    context = {
        **demands_services.describe(demand),
        "coordinator": coordinator.name,
        "level": level,
        "tried": tried,
        "why": why_nothing(demand, policy, now) if demand.quantity_wanting and not waits else [],
        "quantity_matched": demand.quantity_matched,
        "waits": waits,
    }
    about = f"{demand.pk}:{coordinator.pk}{':look' if waits else ''}:{since:%Y%m%d%H%M%S%f}"
    queue("demand.escalated", coordinator, context, key=f"demand.escalated:{about}")
    queue("demand.passed_on", demand.organisation, context, key=f"demand.passed_on:{about}")
    return 1


def why_nothing(demand: Demand, policy: PolicyValues, now: dt.datetime) -> list[dict[str, str]]:
    """What keeps suppliers back that were not asked, and what would help, in every language."""
    seen = outlook(demand, now=now, policy=policy)

    def write() -> list[str]:
        return [*outlook_wording.why(seen), *(outlook_wording.help_of(seen, way) for way in seen.ways)]

    return outlook_wording.in_every_language(write)


@transaction.atomic
def notify_withdrawn(*, limit: int = 500) -> int:
    """Tell suppliers, once, whose unanswered request was taken back and who were not asked anew, for another quantity
    say: those need not hear that they are to forget the first. Returns how many were told.
    """
    due = Match.objects.withdrawal_notice_due().select_for_update(of=["self"], skip_locked=True, no_key=True)
    untold = list(due.shown().order_by("pk")[:limit])
    newest = set(
        Match.objects.filter(demand__in={match.demand_id for match in untold}, respond_by__isnull=False)
        .values("demand_id", "offer_id")
        .annotate(last=Max("pk"))
        .values_list("last", flat=True)
    )
    told = [match for match in untold if match.pk in newest]
    queue_all(
        [
            News(
                "match.withdrawn",
                match.offer.organisation,
                {**describe(match), "why": _why_withdrawn(match)},
                key=f"match.withdrawn:{match.pk}",
            )
            for match in told
        ]
    )
    Match.objects.filter(pk__in=[match.pk for match in untold]).update(withdrawal_untold=False)
    return len(told)


@transaction.atomic
def notify_nobody_left(claimed: Sequence[Demand]) -> None:
    """Tell those who need something, once for the last supplier that was asked, that nobody is asked any more: it said
    no or nothing, or took its offer back, and there is no other. What was asked for since it was `claimed` is decided
    once more first.
    """
    left = Demand.objects.open().short().unasked_since(claimed).filter(quantity_held=0).shown().order_by("pk")
    asked = Match.objects.filter(WAS_ASKED, demand__in=[demand.pk for demand in left])
    last = dict(asked.values_list("demand_id").annotate(last=Max("pk")))
    queue_all(
        [
            News(
                "demand.nobody_left",
                demand.organisation,
                {**demands_services.describe(demand), "wanting": demand.quantity_wanting},
                key=f"demand.nobody_left:{demand.pk}:{last[demand.pk]}",
            )
            for demand in left
            if demand.pk in last
        ]
    )


def _why_withdrawn(match: Match) -> str:
    """As far as it can be seen from how things stand now: `priority`, `verification`, `ended`, `offer` or `changed`."""
    demand, offer = match.demand, match.offer
    if match.state == MatchState.SUPERSEDED:
        return "priority"
    if not (demand.organisation.is_verified and offer.organisation.is_verified):
        return "verification"
    if demand.state != DemandState.OPEN:
        return "ended"
    return "changed" if offer.state == OfferState.PUBLISHED else "offer"


@transaction.atomic
def announce_verifications(*, now: dt.datetime | None = None, limit: int = 200) -> int:
    """Tell organisations what became of their verification, and coordinators who asks for one. Returns how many news.

    Accounts stands below the outbox and cannot tell anybody anything itself. What a newly verified organisation has
    posted meanwhile goes out, and what it has open is matched again, as matching passed over it until then.
    """
    now = now or timezone.now()
    organisations = accounts_services.take_unannounced(limit)
    verified = [organisation for organisation in organisations if organisation.is_verified]
    demands_services.open_awaiting(verified, now=now)
    needs = Demand.objects.open().filter(organisation__in=verified)
    demands_services.request_matching(list(needs.values_list("pk", flat=True)), now=now)
    offers = Offer.objects.published().filter(organisation__in=verified)
    supply_services.request_matching(list(offers.values_list("pk", flat=True)), now=now)
    return sum(_announce(organisation, now) for organisation in organisations)


def _announce(organisation: Organisation, now: dt.datetime) -> bool:
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
