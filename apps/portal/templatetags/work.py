"""What only the working pages write: reasons of a match, sentences about a state."""

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.demands.models import Demand, DemandState
from apps.desk.services import taken_by_phone
from apps.fulfilment.models import Order
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import Outlook
from apps.matching.explanation.wording import explain, sentence
from apps.matching.models import Match, MatchState, Shortfall
from apps.portal.wording import waits_because

register = template.Library()

register.filter(waits_because)


@register.filter
def reasons(match: Match) -> list[dict[str, Any]]:
    """Why this supplier, the weightiest reason first."""
    return explain(match.terms)


@register.filter
def stars(score: float) -> str:
    """A score between 0 and 1 as “82 of 100”."""
    return _("%(points)s of 100") % {"points": round(score * 100)}


@register.filter
def counted(ended: list[tuple[str, int]]) -> str:
    """“Replaced by a higher priority: 9 · Declined: 1”."""
    return " · ".join(_("%(what)s: %(count)s") % {"what": what, "count": f"{count:,}"} for what, count in ended)


@register.filter
def ended_because(match: Match) -> str:
    """For the requester, why a request ended that its supplier did not end."""
    if match.state == MatchState.SUPERSEDED:
        return _("Withdrawn: the goods went to another need, or this need is met in another way.")
    if match.responded_at is not None and match.decline_reason:
        return _("Accepted first, then cancelled by the supplier.")
    if match.responded_at is not None:
        return _("Accepted first, then cancelled by the requester.")
    return _("Withdrawn: the need or the offer was changed, paused or ended.")


@register.filter
def translated(text: str) -> str:
    """A reason that a service stored in English, in the reader's language; what people wrote stays as it is."""
    return _(text) if text else ""


@register.filter
def why(outlook: Outlook) -> list[str]:
    """Why nobody could be asked, in sentences."""
    return outlook_wording.why(outlook)


@register.filter
def ways(outlook: Outlook) -> list[dict[str, str]]:
    """What would help, with the form that does it, filled in."""
    found = []
    for way in outlook.ways:
        change = outlook_wording.change_of(outlook, way)
        # A link cannot carry None. An empty value empties the field.
        preset = {name: "" if value is None else value for name, value in change.items()}
        address = f"{reverse('need-amend', args=[outlook.demand.pk])}?{urlencode(preset)}" if preset else ""
        found.append({"text": outlook_wording.help_of(outlook, way), "address": address})
    return found


@register.filter
def in_short(shortfall: Shortfall) -> str:
    """Why a need was given no more when it was last decided on with others."""
    return sentence("share", shortfall.verdict.term().value, 0.0)


@register.filter
def waits_for(demand: Demand) -> str:
    """What the owner of a need has to do for it to go on."""
    if demand.is_returned:
        return _("Returned by a coordinator: %(reason)s") % {"reason": demand.state_note}
    if demand.state == DemandState.DRAFT:
        return _("Not sent out yet: open it")
    if demand.state == DemandState.STALE:
        return _("Suspended: say whether it is still needed")
    if demand.asked_at is not None and demand.state == DemandState.OPEN:
        return _("Is it still needed? Please confirm")
    return ""


@register.inclusion_tag("portal/by_phone.html")
def by_phone(match: Match) -> dict[str, Any]:
    """That a match was accepted by phone, and who took the call; nothing of others."""
    return {"call": taken_by_phone(match) if match.state == MatchState.ACCEPTED else None}


@register.inclusion_tag("portal/reports/link.html", takes_context=True)
def report_link(context: dict[str, Any], row: Any) -> dict[str, Any]:
    """The way to report a row, for everybody but those to whom alone it belongs."""
    user = context["user"]
    own = {grant.organisation_id for grant in user.grants} if user.is_authenticated else None
    match = row.match if isinstance(row, Order) else row
    if isinstance(match, Match):
        sides = {match.offer.organisation_id, match.demand.organisation_id}
    else:
        sides = {getattr(match, "organisation_id", match.pk)}
    return {"kind": row._meta.model_name if own is not None and sides - own else "", "row": row}
