"""Every figure that a page, an export or the API states: what it counts, of what, in which unit, and from where.

Definitions are data. A change of the meaning gets a new key, because somebody has quoted the old one.
"""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Figure:
    """One figure. `population`: the rows that count; `source`: who wrote these rows."""

    key: str
    name: str | Promise
    formula: str | Promise
    population: str | Promise
    unit: str | Promise
    source: str | Promise


_NEEDS: Final = _("needs")
_OFFERS: Final = _("offers")
_ORDERS: Final = _("orders")
_ORGANISATIONS: Final = _("organisations")
_BASE_UNIT: Final = _("the item’s base unit; pages write 1,000 ml, g or m and more as L, kg or km")

_BY_REQUESTERS: Final = _("needs as their organisations posted them")
_BY_SUPPLIERS: Final = _("offers as their suppliers published them")
_BY_ACCEPTANCES: Final = _("acceptances by suppliers")
_BY_RECEIPTS: Final = _("receipts that requesters recorded")

_COUNT_OF_NEEDS: Final = _("count of needs")
_OPEN: Final = _("open needs")
_NOT_CANCELLED: Final = _("needs that are open, accepted, paused, suspended or received")
_PUBLISHED: Final = _("published offers")

_SENT_OUT: Final = _("all needs that were ever sent out; a cancelled one until it was cancelled")
_ESTIMATE: Final = _(
    "Kaplan–Meier estimate of the time within which half, or nine in ten, of the needs get there. A need that waits "
    "counts with the time it has waited so far. It is told where it is known of at least half of the needs."
)
_TIME: Final = _("time")

_ALL: Final = (
    Figure(
        "organisations_waiting",
        _("Organisations waiting"),
        _("count of organisations; one that waits in two provinces, or in two watched regions, counts in each"),
        _("organisations with an open need of the item"),
        _ORGANISATIONS,
        _BY_REQUESTERS,
    ),
    Figure("needs_open", _("Open needs"), _COUNT_OF_NEEDS, _OPEN, _NEEDS, _BY_REQUESTERS),
    Figure(
        "needs_emergency",
        _("Of these emergencies"),
        _COUNT_OF_NEEDS,
        _("open needs with the urgency “emergency”"),
        _NEEDS,
        _BY_REQUESTERS,
    ),
    Figure(
        "needs_unknown",
        _("Quantity unknown"),
        _("count of needs that state no quantity, beside the count of all"),
        _OPEN,
        _NEEDS,
        _BY_REQUESTERS,
    ),
    Figure(
        "needs_matched",
        _("Needs fully accepted"),
        _COUNT_OF_NEEDS,
        _("needs whose whole quantity suppliers accepted, and which have not received it yet"),
        _NEEDS,
        _BY_ACCEPTANCES,
    ),
    Figure(
        "needs_received",
        _("Needs fully received"),
        _COUNT_OF_NEEDS,
        _("needs that received all they asked for"),
        _NEEDS,
        _BY_RECEIPTS,
    ),
    Figure(
        "needs_suspended",
        _("Needs suspended"),
        _COUNT_OF_NEEDS,
        _("needs that nobody confirmed in time"),
        _NEEDS,
        _BY_REQUESTERS,
    ),
    Figure("needs", _("Needs"), _COUNT_OF_NEEDS, _NOT_CANCELLED, _NEEDS, _BY_REQUESTERS),
    Figure(
        "quantity_needed",
        _("Quantity asked for"),
        _("sum of the quantities asked for; a need of unknown quantity adds nothing"),
        _NOT_CANCELLED,
        _BASE_UNIT,
        _BY_REQUESTERS,
    ),
    Figure(
        "still_needed",
        _("Still needed"),
        _("sum of the quantities asked for, less what was received; a need of unknown quantity adds nothing"),
        _("needs that are open or accepted"),
        _BASE_UNIT,
        _BY_REQUESTERS,
    ),
    Figure(
        "quantity_matched",
        _("Accepted"),
        _("sum of the quantities that suppliers accepted, whether received or not"),
        _NOT_CANCELLED,
        _BASE_UNIT,
        _BY_ACCEPTANCES,
    ),
    Figure(
        "quantity_outstanding",
        _("Outstanding"),
        _("sum of the quantities that suppliers accepted, less what was received"),
        _("all needs, also cancelled ones whose orders go on"),
        _BASE_UNIT,
        _BY_ACCEPTANCES,
    ),
    Figure(
        "quantity_received",
        _("Received"),
        _("sum of the quantities received and found good"),
        _("all needs, also cancelled ones that had received something before"),
        _BASE_UNIT,
        _BY_RECEIPTS,
    ),
    Figure("offers", _("Offers"), _("count of offers"), _PUBLISHED, _OFFERS, _BY_SUPPLIERS),
    Figure(
        "quantity_offered",
        _("Free"),
        _("sum of the quantities offered, less what is held or accepted"),
        _PUBLISHED,
        _BASE_UNIT,
        _BY_SUPPLIERS,
    ),
    Figure(
        "orders_made",
        _("Orders made"),
        _("count of orders"),
        _("all orders, also those that were cancelled later"),
        _ORDERS,
        _BY_ACCEPTANCES,
    ),
    Figure(
        "needs_waiting",
        _("Still waiting"),
        _("count of needs that did not get there and were not cancelled, beside the count of all"),
        _("all needs that were ever sent out"),
        _NEEDS,
        _BY_REQUESTERS,
    ),
    Figure(
        "time_to_asked",
        _("From posted to asked"),
        _ESTIMATE,
        _SENT_OUT,
        _TIME,
        _("when the first supplier was asked for the need"),
    ),
    Figure(
        "time_to_contact",
        _("From posted to contact"),
        _ESTIMATE,
        _SENT_OUT,
        _TIME,
        _("when the first supplier accepted, and both sides saw each other’s contact"),
    ),
    Figure(
        "time_to_receipt",
        _("From posted to received"),
        _ESTIMATE,
        _SENT_OUT,
        _TIME,
        _("when the requester first received goods and found them good"),
    ),
    Figure(
        "promise_kept",
        _("Within the promise"),
        _(
            "the share, by the same estimate, that has a contact before a coordinator must step in, as the policy in "
            "force sets it for the urgency"
        ),
        _SENT_OUT,
        _("per cent"),
        _BY_ACCEPTANCES,
    ),
)
FIGURES: Final = {figure.key: figure for figure in _ALL}
