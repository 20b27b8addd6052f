"""How places, states and times are written on every page; quantities are in `portal.wording`, which views use too."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import template
from django.forms import BaseForm
from django.http import HttpRequest
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.catalogue import units
from apps.catalogue.models import Item, Region
from apps.demands.models import DemandState
from apps.exports.definitions import FIGURES
from apps.matching.models import MatchState
from apps.portal import likeness, navigation, places, wording

register = template.Library()

for write in (wording.grouped, wording.quantity, wording.sum_of, wording.asked):
    register.filter(write)
register.filter("evidence", likeness.says)

# The tone of a state's badge, by its value; the words always stand beside the colour.
_TONES: Final = {
    "draft": "quiet", "open": "active", "matched": "good", "fulfilled": "done", "paused": "quiet", "stale": "warn",
    "cancelled": "quiet", "published": "active", "withdrawn": "quiet", "held": "warn", "standby": "quiet",
    "accepted": "good", "declined": "bad", "expired": "bad", "superseded": "quiet", "confirmed": "active",
    "shipped": "warn", "delivered": "good", "closed": "done", "unverified": "warn", "pending": "active",
    "verified": "good", "rejected": "bad", "queued": "active", "sent": "good", "failed": "bad",
    "emergency": "bad", "urgent": "warn", "routine": "quiet", "in_force": "good", "discarded": "quiet",
    "dismissed": "quiet", "merged": "done",
}  # fmt: skip


_DATASETS: Final = {
    "demands": _("Needs"),
    "offers": _("Offers"),
    "matches": _("Matches"),
    "orders": _("Orders"),
    "shipments": _("Shipments"),
    "deliveries": _("Deliveries"),
}


@register.simple_tag
def html_lang() -> str:
    """The language of the page as HTML wants it: `zh-Hans`."""
    return language_tag(get_language() or "en")


@register.filter
def language_tag(code: str) -> str:
    """The code of a language as HTML wants it: `zh-Hans` for `zh-hans`."""
    language, _dash, script = code.partition("-")
    return f"{language}-{script.title()}" if script else language


@register.inclusion_tag("partials/navigation.html", takes_context=True)
def site_navigation(context: Context) -> dict[str, Any]:
    request: HttpRequest | None = context.get("request")
    return {"links": navigation.links_for(request) if request else []}


@register.simple_tag
def region(place: Region | None) -> str:
    """The place with what it lies in: “Wuchang, Wuhan, Hubei”."""
    return places.full_label(place) if place else ""


@register.inclusion_tag("partials/status.html")
def status(obj: Any, field: str = "state") -> dict[str, str]:
    """A badge for the state (or the urgency…) of a row: the words, and a tone that only repeats them."""
    value = getattr(obj, field)
    return {"tone": _TONES.get(value, "quiet"), "text": getattr(obj, f"get_{field}_display")()}


@register.inclusion_tag("partials/status.html")
def badge(text: str, tone: str = "quiet") -> dict[str, str]:
    return {"tone": tone, "text": text}


@register.inclusion_tag("partials/when.html")
def when(moment: dt.datetime | None) -> dict[str, Any]:
    """A time in the reader's zone, with how long ago or ahead it is; exact for machines."""
    return {"moment": moment, "away": distance(moment) if moment else ""}


def distance(moment: dt.datetime) -> str:
    """“in 2 hours”, “5 minutes ago”."""
    seconds = (moment - timezone.now()).total_seconds()
    minutes = round(abs(seconds) / 60)
    if minutes < 1:
        return gettext("now")
    # “90 minutes” says more than “2 hours”, and “36 hours” more than “2 days”.
    if minutes < 100:
        span = ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    elif minutes < 48 * 60:
        hours = round(minutes / 60)
        span = ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    else:
        days = round(minutes / 1440)
        span = ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    return (gettext("in %(span)s") if seconds > 0 else gettext("%(span)s ago")) % {"span": span}


@register.filter
def lasting(span: dt.timedelta | None) -> str:
    """How long something took: “9.5 hours”, “3 days”."""
    if span is None:
        return "–"
    hours = span.total_seconds() / 3600
    if hours < 1:
        minutes = max(1, round(hours * 60))
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    if hours < 48:
        tenths = round(hours, 1)
        count = int(tenths) if tenths == int(tenths) else tenths
        # The plural in English follows what is written: 1 hour, 1.5 hours.
        word = ngettext("%(count)s hour", "%(count)s hours", 1 if count == 1 else 2)
        return word % {"count": number_format(count)}
    days = round(hours / 24)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


@register.simple_tag
def figure(key: str) -> SafeString:
    """The name of a figure, as a link to its definition."""
    return format_html('<a href="{}#{}">{}</a>', reverse("figures"), key, FIGURES[key].name)


@register.simple_tag
def figure_name(key: str) -> str:
    return str(FIGURES[key].name)


@register.filter
def share(part: int | None, whole: int | None) -> int:
    """Per cent of the whole, 0 to 100."""
    return max(0, min(100, round(100 * (part or 0) / whole))) if whole else 0


@register.inclusion_tag("partials/progress.html")
def need_progress(demand: Any) -> dict[str, Any]:
    """How far a need is: received, promised and asked of its target, as a bar and in words."""
    # Never 0: a bar of nothing would divide by it. A trial lot may be exceeded.
    target = max(demand.target, demand.quantity_covered, 1)
    received = demand.quantity_received
    promised = max(0, demand.quantity_outstanding)
    # What was asked for a need that is not open any more is being taken back.
    held = demand.quantity_held if demand.state == DemandState.OPEN else 0
    widths = [round(100 * part / target, 2) for part in (received, promised, held)]
    return {
        "demand": demand,
        "item": demand.item,
        "target": target,
        "is_trial": demand.quantity is None,
        "received": received,
        "promised": promised,
        "held": held,
        "wanting": max(0, demand.target - demand.quantity_matched - held),
        "bars": [
            ("received", 0, widths[0]),
            ("promised", widths[0], widths[1]),
            ("held", widths[0] + widths[1], widths[2]),
        ],
    }


@register.simple_tag
def form_faults(*forms: Any) -> list[dict[str, str]]:
    """Every error of the forms (formsets are flattened, None is skipped) as text and the id of the field to jump to.

    A field is called by its label, or as the form's `called` says where labels stand in columns.
    """
    faults: list[dict[str, str]] = []
    for form, line in _flat(forms):
        faults += [{"text": str(error), "label": line, "id": ""} for error in form.non_field_errors()]
        for bound in form:
            name = form.called(bound) if hasattr(form, "called") else str(bound.label or "")
            label = ", ".join(part for part in (line, name) if part)
            faults += [
                {"text": str(error), "label": label, "id": bound.id_for_label or bound.auto_id}
                for error in bound.errors
            ]
    return faults


def _flat(forms: Any) -> list[tuple[BaseForm, str]]:
    """Every form with the name of its line, where there are several lines to confuse."""
    flat: list[tuple[BaseForm, str]] = []
    for form in forms:
        if form is None or form == "" or not form.is_bound:
            continue
        if not hasattr(form, "forms"):
            flat.append((form, ""))
        elif len(form.forms) == 1:
            flat.append((form.forms[0], ""))
        else:
            flat += [(one, gettext("Line %(number)s") % {"number": at}) for at, one in enumerate(form.forms, 1)]
    return flat


@register.filter
def get(mapping: Mapping[Any, Any], key: Any) -> Any:
    return mapping.get(key)


@register.filter
def packed(value: int | None, item: Item) -> str:
    """“12 boxes × 50 = 600 pieces” in the largest packs that leave no rest, else nothing. One query a row."""
    if not value:
        return ""
    packs = sorted(item.packs.all(), key=lambda pack: pack.size, reverse=True)
    # The largest that leaves no rest: half a box cannot be sent.
    pack = next((one for one in packs if value % one.size == 0), None)
    if pack is None:
        return ""
    return units.describe(
        value,
        units.Word(item.unit.name_zh, item.unit.name_en),
        language=get_language() or "en",
        pack=units.Word(pack.name_zh, pack.name_en),
        size=pack.size,
    )


@register.filter
def in_words(text: str | None) -> str:
    """A text that a service noted in English because it did not know who would read it."""
    return gettext(text) if text else ""


@register.filter
def as_percent(part: float) -> int:
    return round(part * 100)


@register.filter
def match_state(value: str) -> str:
    return str(MatchState(value).label) if value in MatchState.values else value


@register.filter
def dataset_name(name: str) -> str:
    return str(_DATASETS.get(name, name))


@register.filter
def button_style(tags: Sequence[str]) -> str:
    """Return the class of our stylesheet for a button of allauth's, which says with tags what it is for."""
    if "danger" in tags:
        return "danger"
    return "plain" if {"secondary", "outline", "link"} & set(tags) else ""
