"""What only the working pages write: reasons of a match, packs, sentences about a state."""

from typing import Any, Final

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from apps.catalogue.models import Item
from apps.demands.models import Demand, DemandState
from apps.demands.services import HELD_FOR_APPROVAL, QUANTITY_HELD_FOR_REVIEW
from apps.matching.models import Match
from apps.matching.outlook import Outlook
from apps.matching.wording import explain
from apps.portal.templatetags.portal import grouped, quantity

register = template.Library()


@register.filter
def reasons(match: Match) -> list[dict[str, Any]]:
    """Why this supplier, the weightiest reason first."""
    return explain(match.terms)


@register.filter
def stars(score: float) -> str:
    """A score between 0 and 1 as “82 of 100”."""
    return _("%(points)s of 100") % {"points": round(score * 100)}


@register.filter
def translated(text: str) -> str:
    """A reason that a service stored in English, in the reader's language; what people wrote stays as it is."""
    return _(text) if text else ""


@register.filter
def in_packs(amount: int | None, item: Item) -> str:
    """The quantity in the largest pack that leaves no rest: “12 boxes × 50 = 600 pieces”; else nothing."""
    if not amount:
        return ""
    packs = sorted(item.packs.all(), key=lambda pack: -pack.size)
    fitting = next((pack for pack in packs if amount % pack.size == 0), None)
    if fitting is None:
        return ""
    return _("%(count)s %(pack)s × %(size)s = %(total)s") % {
        "count": grouped(amount // fitting.size),
        "pack": fitting.label,
        "size": grouped(fitting.size),
        "total": quantity(amount, item),
    }


# Why offers of the goods could not serve: the count, and what the requester could do about it.
_REFUSED: Final = {
    "standard": (
        ngettext_lazy(
            "%(count)s offer does not meet the standard that you ask for.",
            "%(count)s offers do not meet the standard that you ask for.",
            "count",
        ),
        gettext_lazy("Would another standard do as well? Amend the need."),
    ),
    "substitute": (
        ngettext_lazy("%(count)s offer is of a similar item.", "%(count)s offers are of similar items.", "count"),
        gettext_lazy("Say that similar items are welcome, if they are."),
    ),
    "region": (
        ngettext_lazy(
            "%(count)s offer is not shipped to your region.",
            "%(count)s offers are not shipped to your region.",
            "count",
        ),
        gettext_lazy("A coordinator may be able to arrange the transport."),
    ),
    "minimum": (
        ngettext_lazy(
            "%(count)s offer has a minimum order above what you ask for.",
            "%(count)s offers have a minimum order above what you ask for.",
            "count",
        ),
        gettext_lazy("A larger quantity, or one order together with neighbours, would reach it."),
    ),
    "stock": (
        ngettext_lazy("%(count)s offer has too little left.", "%(count)s offers have too little left.", "count"),
        gettext_lazy("You are asked for again as soon as something becomes free."),
    ),
    "asked_before": (
        ngettext_lazy(
            "%(count)s offer was asked already: its supplier declined or did not answer.",
            "%(count)s offers were asked already: their suppliers declined or did not answer.",
            "count",
        ),
        "",
    ),
    "distance": (
        ngettext_lazy(
            "%(count)s gift is too far away for a need that is not urgent: it waits for one nearby first.",
            "%(count)s gifts are too far away for a need that is not urgent: they wait for one nearby first.",
            "count",
        ),
        gettext_lazy("Each day they go farther. If you cannot wait, say that it is urgent."),
    ),
}


@register.filter
def hindrances(outlook: Outlook) -> list[dict[str, str]]:
    """What stands in the way, with what would help."""
    lines = []
    for reason, count in outlook.refused.items():
        if count and reason in _REFUSED:
            text, help_text = _REFUSED[reason]
            lines.append({"text": str(text % {"count": count}), "help": str(help_text)})
    return lines


_WAITS: Final = {
    QUANTITY_HELD_FOR_REVIEW: gettext_lazy(
        "The quantity is far from usual. A coordinator will look at it and send it out; you need do nothing."
    ),
    HELD_FOR_APPROVAL: gettext_lazy(
        "In this region a coordinator looks at every need before it goes out. Yours waits; you need do nothing."
    ),
}


@register.filter
def waits_because(state_reason: str) -> str:
    """Why a need waits for a coordinator, for its owner."""
    return str(_WAITS.get(state_reason) or translated(state_reason))


@register.filter
def waits_for(demand: Demand) -> str:
    """What the owner of a need has to do for it to go on."""
    if demand.state == DemandState.DRAFT and demand.state_reason:
        return _("Returned by a coordinator: %(reason)s") % {"reason": translated(demand.state_reason)}
    if demand.state == DemandState.DRAFT:
        return _("Not sent out yet: open it")
    if demand.state == DemandState.STALE:
        return _("Suspended: say whether it is still needed")
    if demand.asked_at is not None and demand.state == DemandState.OPEN:
        return _("Is it still needed? Please confirm")
    return ""
