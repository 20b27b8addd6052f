"""The terms that matching scores by, registered here only until matching registers its own.

They belong to `apps.matching.scoring`, whose `AppConfig.ready()` will call `apps.policy.terms.register` for each: then
this module and `apps.policy.apps` go.
"""

from typing import Final

from django.utils.translation import gettext_lazy as _

from apps.policy import terms
from apps.policy.terms import WeighedTerm

TERMS: Final = (
    WeighedTerm("coverage", 0.25, _("How much of the need it covers")),
    WeighedTerm("distance", 0.20, _("Distance")),
    WeighedTerm("lead_time", 0.20, _("Delivery time")),
    WeighedTerm("standard", 0.10, _("Fit of the standard")),
    WeighedTerm("freshness", 0.10, _("How lately the offer was confirmed")),
    WeighedTerm("record", 0.10, _("The supplier’s record")),
    WeighedTerm("price", 0.05, _("Price")),
)


def register() -> None:
    for term in TERMS:
        terms.register(term)
