"""What can be reported: what a person sees of others, and which organisation answers for it.

A requester sees the offers that were put together with its needs, and a supplier the needs that it was asked for. Both
see the organisation of the other side. So all of these can be reported, beside what is visible by itself.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.reports.models import AbuseReport, ReportReason, SubjectKind
from apps.supply.models import Offer


@dataclass(frozen=True)
class ReportSubject:
    """Something that can be reported, with the posts and sides behind it."""

    kind: SubjectKind
    pk: int
    text: str
    offer: Offer | None = None
    demand: Demand | None = None
    organisation: Organisation | None = None

    def accused_by(self, user: User, reason: str) -> Organisation:
        """The organisation that answers for it: the other side, or the one that the reason points to.

        Raises `report_own` if that is the reporter's own.
        """
        own = {grant.organisation_id for grant in user.grants}
        sides = [post.organisation for post in (self.offer, self.demand) if post is not None]
        if self.organisation is not None:
            sides = [self.organisation]
        others = [side for side in sides if side.pk not in own]
        if not others:
            raise RuleViolation("report_own", _("This is your own. Change it, or end it, instead."))
        # Who watches both sides points to one of them by the reason; the supplier is the first.
        return others[-1] if reason == ReportReason.FAKE_NEED else others[0]

    def post_of(self, accused: Organisation) -> Offer | Demand | None:
        """The offer or need of the accused that a decision can block."""
        for post in (self.offer, self.demand):
            if post is not None and post.organisation_id == accused.pk:
                return post
        return None


def subject_for(user: User, kind: str, pk: int) -> ReportSubject | None:
    """What the user wants to report, if they may see it; None if there is no such thing for them."""
    matches = Match.objects.visible_to(user)
    if kind == SubjectKind.OFFER:
        seen = Q(pk__in=Offer.objects.visible_to(user).values("pk")) | Q(pk__in=matches.values("offer"))
        return _first(kind, Offer.objects.filter(seen), pk)
    if kind == SubjectKind.DEMAND:
        seen = Q(pk__in=Demand.objects.visible_to(user).values("pk")) | Q(pk__in=matches.values("demand"))
        return _first(kind, Demand.objects.filter(seen), pk)
    if kind == SubjectKind.MATCH:
        return _first(kind, matches, pk)
    if kind == SubjectKind.ORDER:
        return _first(kind, Order.objects.visible_to(user), pk)
    if kind == SubjectKind.ORGANISATION:
        seen = (
            Q(pk__in=Organisation.objects.visible_to(user).values("pk"))
            | Q(pk__in=matches.values("offer__organisation"))
            | Q(pk__in=matches.values("demand__organisation"))
        )
        return _first(kind, Organisation.objects.filter(seen), pk)
    return None


def subject_of(report: AbuseReport) -> ReportSubject:
    """What a report is about, whoever looks."""
    rows: dict[SubjectKind, Any] = {
        SubjectKind.OFFER: Offer.objects,
        SubjectKind.DEMAND: Demand.objects,
        SubjectKind.MATCH: Match.objects,
        SubjectKind.ORDER: Order.objects,
        SubjectKind.ORGANISATION: Organisation.objects,
    }
    subject = _first(report.kind, rows[SubjectKind(report.kind)].all(), report.subject_id)
    assert subject is not None, "what was reported is never deleted"
    return subject


def _first(kind: str, rows: Any, pk: int) -> ReportSubject | None:
    row = (rows if kind == SubjectKind.ORGANISATION else rows.shown()).filter(pk=pk).first()
    if row is None:
        return None
    offer = demand = organisation = None
    match = row.match if isinstance(row, Order) else row
    if isinstance(match, Match):
        offer, demand = match.offer, match.demand
    elif isinstance(match, Offer):
        offer = match
    elif isinstance(match, Demand):
        demand = match
    else:
        organisation = match
    return ReportSubject(SubjectKind(kind), pk, str(row), offer, demand, organisation)
