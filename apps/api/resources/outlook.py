"""`/demands/{id}/outlook/`: what there is for a need, what keeps the rest from serving it, and what would help."""

from typing import Any

from rest_framework import serializers

from apps.api.representation.answers import BaseUnitsField
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import Outlook
from apps.matching.explanation.wording import sentence
from apps.matching.models import Shortfall
from apps.matching.scoring.eligibility import OF_SHORTAGES, Action, Reason, counted


class OutlookReasonSerializer(serializers.Serializer[Any]):
    """A reason why offers cannot serve the need, and how many suppliers it keeps back."""

    reason = serializers.ChoiceField(choices=[check.reason.value for check in counted()])
    suppliers = serializers.IntegerField(
        help_text="How many it keeps back. Several reasons may keep back one supplier."
    )


class OutlookActionSerializer(serializers.Serializer[Any]):
    """A change of the need that would help, and how many suppliers it would win."""

    action = serializers.ChoiceField(choices=[action.value for action in Action])
    suppliers = serializers.IntegerField(help_text="Suppliers that nothing else keeps back.")
    units = BaseUnitsField(
        allow_null=True,
        help_text="Free at these suppliers, in the item's base unit; null if they are fewer than three.",
    )
    change = serializers.JSONField(help_text="To be sent as a PATCH of the need; empty where there is nothing to send.")
    text = serializers.CharField()


class ShortfallSerializer(serializers.Serializer[Any]):
    """What the need was given when it was last decided on together with others, and why not more."""

    given = BaseUnitsField()
    wanting = BaseUnitsField()
    because = serializers.ChoiceField(choices=[reason.value for reason in OF_SHORTAGES])
    others = serializers.IntegerField(help_text="Needs of the same priority that were given some.")
    above = serializers.IntegerField(help_text="Needs of higher priority that were given some.")
    policy_version = serializers.IntegerField()
    decided_at = serializers.DateTimeField()
    text = serializers.CharField()


class OutlookSerializer(serializers.Serializer[Any]):
    """What there is for a need, what keeps the rest from serving it, and what would help."""

    as_of = serializers.DateTimeField()
    suppliers = serializers.IntegerField(
        allow_null=True,
        help_text="Suppliers that have the goods, or a substitute that is welcome. Null where nothing is counted: for "
        "a need that is not open, or of an organisation that is not verified.",
    )
    candidates = serializers.IntegerField(allow_null=True, help_text="Those of them that nothing keeps back.")
    text = serializers.ListField(child=serializers.CharField(), help_text="In the language of the request.")
    hindrances = OutlookReasonSerializer(many=True)
    ways = OutlookActionSerializer(many=True, help_text="What would help, the most suppliers first.")
    shortfall = ShortfallSerializer(
        allow_null=True, help_text="When the need was last decided on together with others."
    )


def describe_outlook(outlook: Outlook, shortfall: Shortfall | None) -> dict[str, Any]:
    """What `OutlookSerializer` shows, with sentences in the active language."""
    # `blocked` counts only suppliers of goods that the need accepts, so those of other substitutes are added here.
    blocked = dict(outlook.survey.blocked)
    if similar := outlook.survey.group(Reason.SUBSTITUTE):
        blocked[Reason.SUBSTITUTE] = similar.suppliers
    return {
        "as_of": outlook.as_of,
        "suppliers": outlook.survey.suppliers if outlook.is_counted else None,
        "candidates": outlook.survey.candidates if outlook.is_counted else None,
        "text": outlook_wording.why(outlook),
        "hindrances": [
            {"reason": check.reason.value, "suppliers": blocked[check.reason]}
            for check in counted()
            if check.reason in blocked
        ],
        "ways": [
            {
                "action": way.action.value,
                "suppliers": way.suppliers,
                "units": way.units,
                "change": outlook_wording.change_of(outlook, way),
                "text": outlook_wording.help_of(outlook, way),
            }
            for way in outlook.ways
        ],
        "shortfall": _describe_shortfall(shortfall) if shortfall is not None else None,
    }


def _describe_shortfall(shortfall: Shortfall) -> dict[str, Any]:
    facts = shortfall.verdict.term().value
    assert isinstance(facts, dict)
    return {
        **facts,
        "policy_version": shortfall.policy_version,
        "decided_at": shortfall.decided_at,
        "text": sentence("share", facts, 0.0),
    }
