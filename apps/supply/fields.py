"""What a supplier says of an offer: the one list from which requests, answers, exports and documents take the fields.

Types, lengths and defaults are those of the model. A field that is added here is shown to everybody who sees the offer;
what only the server needs to know stays out. `tests/api/test_fields.py` names each place that lacks a field.
"""

from typing import Final

OFFER_FIELDS: Final = (
    "item",
    "standard",
    "quantity",
    "daily_capacity",
    "minimum_order",
    "lead_time_days",
    "unit_price",
    "currency",
    "is_donation",
    "origin_region",
    "ships_to",
    "certificate_number",
    "certificate_valid_until",
    "note",
)
