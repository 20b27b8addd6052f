"""What only the pages of the policy write."""

import datetime as dt

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.policy.values import Phase
from apps.policy.wording import plain
from apps.portal import policies
from apps.portal.replays import Serving, Sums
from apps.portal.wording import grouped, quantity

register = template.Library()


@register.simple_tag
def replay_sums_up(sums: Sums, differing: int) -> str:
    """“14 of 312 needs in Hubei would have been served otherwise.”"""
    facts = {"differing": grouped(differing), "needs": grouped(sums.needs), "where": sums.where}
    if not differing:
        return _("Of %(needs)s needs in %(where)s, none would have been served differently.") % facts
    return (
        ngettext(
            "%(differing)s of %(needs)s needs in %(where)s would have been served differently.",
            "%(differing)s of %(needs)s needs in %(where)s would have been served differently.",
            differing,
        )
        % facts
    )


@register.simple_tag
def served_by(serving: Serving) -> str:
    """“Shenzhen Maker: 400 pieces, after 2 hours”."""
    facts = {
        "supplier": serving.supplier,
        "quantity": quantity(serving.units, serving.item),
        "span": policies.exactly(serving.hours * 60),
    }
    return _("%(supplier)s: %(quantity)s, after %(span)s") % facts


@register.simple_tag
def then_and_under_the_draft(both: tuple[float | None, float | None], unit: str = "") -> str:
    """“12 → 14”; one number where both are the same, a dash where there is none."""
    texts = ["–" if one is None else f"{plain(one)} {unit}".strip() for one in both]
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


@register.filter
def exactly(span: dt.timedelta) -> str:
    """A span of the policy, not rounded: “54 hours”."""
    return policies.exactly(span.total_seconds() / 60)


@register.filter
def phase_in_words(phase: Phase) -> str:
    """“Emergency; a coordinator looks at each need first”."""
    return policies.phase_in_words(phase)
