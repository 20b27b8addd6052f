"""Tags and filters of the message templates, built into their engine: no template has to load them.

A template is written once and rendered twice, as plain text and as HTML. These tags write what differs between the two.
"""

import datetime as dt
from typing import Any

from django.conf import settings
from django.template import Context, Library
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.translation import pgettext

from apps.accounts import invitations
from apps.accounts.models import User
from apps.notifications import links

register = Library()

# Mail programs ignore style sheets, so the style is on the element.
_BUTTON = (
    "display:inline-block;padding:10px 18px;border-radius:6px;background:#0b5cad;color:#ffffff;"
    "text-decoration:none;font-weight:bold"
)


@register.filter
def number(value: Any) -> str:
    """Grouped as the language groups: 20,000."""
    return number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def percent(value: float) -> int:
    return round(value * 100)


@register.filter
def when(value: dt.date | dt.datetime) -> str:
    """A date, or a time with its UTC offset, because the two sides of a match may live in different time zones."""
    if not isinstance(value, dt.datetime):
        return date_format(value, "DATE_FORMAT")
    local = timezone.localtime(value)
    minutes = round((local.utcoffset() or dt.timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    zone = f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"
    return f"{date_format(local, 'DATETIME_FORMAT')} ({zone})"


@register.simple_tag(takes_context=True)
def amount(context: Context, quantity: int) -> str:
    """A quantity in the unit of the message: 1,000 pcs."""
    return pgettext("a quantity and its unit", "%(number)s %(unit)s") % {
        "number": number(quantity),
        "unit": context.get("unit", ""),
    }


@register.simple_tag(takes_context=True)
def fact(context: Context, label: str, value: Any) -> str:
    """A line “label: value”, or nothing if the value is not known."""
    if value is None or value == "":
        return ""
    if isinstance(value, dt.date):
        value = when(value)
    return _line(context, label, value, "<b>{}</b>")


@register.simple_tag(takes_context=True)
def one_click(context: Context, action: str, target_id: int, until: dt.datetime | None = None) -> str:
    """A button that answers without a log-in.

    It is left out if the recipient is an address and not a user, as a link acts in the name of a user.
    """
    user, message = context.get("user"), context.get("message")
    if not isinstance(user, User) or message is None:
        return ""
    expires_at = until or message.created_at + links.LASTS
    # The nonce comes from the message, so a mail that is sent twice holds the same link, which works once.
    url = links.make_link(action, target_id, user, expires_at, nonce=message.uid.hex[:16], told_at=message.created_at)
    return button(context, url, str(links.OneClickAction(action).label))


@register.simple_tag(takes_context=True)
def button(context: Context, url: str, label: str) -> str:
    if context.get("html"):
        return format_html('\n\n<a href="{}" style="{}">{}</a>\n\n', url, _BUTTON, label)
    return f"\n{_line(context, label, url)}\n\n"


def _line(context: Context, label: str, value: Any, markup: str = "{}") -> str:
    # Chinese has a full-width colon here, so the whole line is a string for translators.
    line = "\n" + pgettext("a fact in a message", "{label}: {value}")
    if context.get("html"):
        return format_html(line, label=label, value=format_html(markup, value))
    return line.format(label=label, value=value)


@register.simple_tag
def invitation_path(invitation_id: int) -> str:
    """The page of an invitation, signed when the mail is made: it stands in no table."""
    return invitations.path_of(invitation_id)


@register.simple_tag
def site() -> str:
    return str(settings.SITE_URL)
