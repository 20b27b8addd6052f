"""What somebody asks for in one line of a post: each field once. Pure.

The API and the exports are made of this table, and `tests/demands/test_fields.py` names every place that lacks a field:
`lines.Line` and the forms of the portal. Labels and help texts stand at the model.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class DemandField:
    """A field of the model `Demand`. What is public stands in the API's answers and in exports; contacts never do."""

    name: str
    is_public: bool = True


# In the order of the API and of exports, where a new field goes to the end.
FIELDS: Final = (
    DemandField("item"),
    DemandField("quantity"),
    DemandField("quantity_kind"),
    DemandField("standard"),
    DemandField("accepts_substitutes"),
    DemandField("region"),
    DemandField("address"),
    DemandField("needed_by"),
    DemandField("urgency"),
    DemandField("days_of_supply"),
    DemandField("note"),
    DemandField("contact_name", is_public=False),
    DemandField("contact_phone", is_public=False),
)

NAMES: Final = tuple(field.name for field in FIELDS)
PUBLIC_NAMES: Final = tuple(field.name for field in FIELDS if field.is_public)
