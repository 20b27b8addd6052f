"""Every field of a need is declared, and can be amended. `tests/api/test_fields.py` looks at the other places."""

from typing import Final

from apps.demands.fields import CONTACT_FIELDS, DEMAND_FIELDS
from apps.demands.models import Demand
from apps.portal.forms.needs import AmendForm

NAMES: Final = (*DEMAND_FIELDS, *CONTACT_FIELDS)
# Set by the program, or said about the post and not about the goods.
OF_THE_PROGRAM = """
    id reference organisation posted_by quantity_held quantity_matched quantity_received trial_quantity state state_code
    state_note
    opened_at confirmed_at review_requested_at escalates_at escalating_since escalation_level ask_at asked_at stale_at
    tier match_requested_at match_claimed_until source source_key created_at updated_at updated_hour
"""


def test_every_field_of_the_model_is_declared() -> None:
    assert {field.name for field in Demand._meta.concrete_fields} == set(NAMES) | set(OF_THE_PROGRAM.split())


def test_the_form_that_amends_has_every_field() -> None:
    assert set(NAMES) - set(AmendForm.base_fields) == set()
