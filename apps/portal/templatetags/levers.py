"""The biggest levers, which the desk and the dashboard show alike."""

from django import template
from django.template import Context

from apps.accounts.permissions import Permission, can
from apps.portal import levers

register = template.Library()


@register.inclusion_tag("portal/levers/top.html", takes_context=True)
def biggest_levers(context: Context) -> dict[str, object]:
    """The ten biggest of the reader's regions."""
    user = context["request"].user
    return {"rows": levers.biggest(user), "may_pull": can(user, Permission.COORDINATE)}
