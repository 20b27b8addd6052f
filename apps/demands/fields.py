"""What a requester says of a need: the one list from which requests, answers, exports and documents take the fields.

Types, lengths and defaults are those of the model. A field that is added to `DEMAND_FIELDS` is shown to everybody who
sees the need; what only the server needs to know stays out. `tests/demands/test_fields.py` names each place that lacks
a field.
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

# Taken and never shown with the need: the other side sees them once it has accepted, and each look is logged.
CONTACT_FIELDS: Final = ("contact_name", "contact_phone")
