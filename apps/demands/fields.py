"""The fields that a requester fills in: one list for requests, answers, exports and documents.

Types, lengths and defaults are those of the model. A field in `DEMAND_FIELDS` is shown to everybody who sees the need,
so fields for the server alone stay out. `tests/demands/test_fields.py` names each place that lacks a field.
"""

from typing import Final

DEMAND_FIELDS: Final = (
    "item",
    "quantity",
    "quantity_kind",
    "standard",
    "accepts_substitutes",
    "region",
    "address",
    "needed_by",
    "urgency",
    "days_of_supply",
    "note",
)

# These are never shown with the need. The other side sees them once it has accepted, and each look is logged.
CONTACT_FIELDS: Final = ("contact_name", "contact_phone")
