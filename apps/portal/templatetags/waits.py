"""How waits are written: a time, or honestly that it is not reached."""

import datetime as dt

from django import template
from django.utils.translation import gettext as _

from apps.exports.waits import Wait
from apps.portal.templatetags.portal import lasting
from apps.portal.wording import grouped

register = template.Library()


@register.filter
def half_within(wait: Wait | None) -> str:
    """“9.5 hours”, or “fewer than half so far”."""
    return _within(wait.median, wait.is_short_of_half, _("fewer than half so far")) if wait else "–"


@register.filter
def nine_in_ten_within(wait: Wait | None) -> str:
    return _within(wait.ninetieth, wait.is_short_of_nine_in_ten, _("fewer than nine in ten so far")) if wait else "–"


def _within(seconds: int | None, is_short: bool, so_far: str) -> str:
    if seconds is not None:
        return lasting_seconds(seconds)
    return so_far if is_short else _("cannot be said yet")


@register.filter
def lasting_seconds(seconds: int) -> str:
    return lasting(dt.timedelta(seconds=seconds))


@register.filter
def still_waiting(wait: Wait | None) -> str:
    """“1,482 of 1,493”. A dash where it may not be told."""
    if wait is None or wait.waiting is None or wait.needs is None:
        return "–"
    return _("%(part)s of %(whole)s") % {"part": grouped(wait.waiting), "whole": grouped(wait.needs)}
