"""The policy as a form, made of what the values say they may be and of their words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from types import NoneType
from typing import Any, Final, get_args

from django import forms
from django.core.exceptions import ValidationError
from django.forms.renderers import get_default_renderer
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apps.catalogue.models import Region
from apps.policy.faults import InvalidPolicyError, Limits, keys_of
from apps.policy.values import PhaseName, PolicyValues
from apps.policy.wording import (
    NAMES,
    PHASE_NAMES,
    WORDS,
    Section,
    SettingUnit,
    SettingWords,
    label_of,
    name_of,
    say,
    say_briefly,
)
from apps.portal.forms.regions import RegionField
from apps.portal.forms.seen import SeenField, SeenForm

# A whole number of so few choices is chosen, not typed.
_FEW: Final = 10
_ROWS_LEFT: Final = 2


@dataclass(frozen=True)
class SettingRow:
    """The fields of one setting."""

    words: SettingWords
    fields: list[forms.BoundField]
    is_table: bool
    fault: str = ""  # of all of them together


class PolicyDraftForm(forms.Form):
    """Everything but the phases. After cleaning, `settings` are the values as JSON.

    A number that was not touched stays exactly what it was, whatever is shown of it.
    """

    based_on = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    seen = SeenField()

    def __init__(self, *args: Any, values: PolicyValues, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.values = values
        self.settings: dict[str, Any] = {}
        self.faults: dict[str, str] = {}
        for one in fields(PolicyValues):
            if one.name != "phases":
                self.fields |= dict(_fields_of(one, getattr(values, one.name)))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            self.settings = self._settings(data)
            try:
                PolicyValues.from_json(self.settings)
            except InvalidPolicyError as error:
                for fault in error.faults:
                    name = fault.name.replace(".", "-")
                    # A fault of a whole table, such as weights that are not 100 %, has no field of its own.
                    if name in self.fields:
                        self.add_error(name, say_briefly(fault))
                        continue
                    self.faults[name] = say_briefly(fault)
                    self.add_error(None, say(fault))
        return data

    def _settings(self, data: Mapping[str, Any]) -> dict[str, Any]:
        # What is shown is rounded. Saving a page must not change what nobody touched.
        untouched = self.values.to_json()
        changed = set(self.changed_data)
        settings: dict[str, Any] = {}
        for one in fields(PolicyValues):
            keys = keys_of(one)
            if one.name == "phases":
                continue
            if keys is None:
                settings[one.name] = _kept(one.name, data[one.name]) if one.name in changed else untouched[one.name]
                continue
            settings[one.name] = {
                key: _kept(one.name, data[f"{one.name}-{key}"])
                if f"{one.name}-{key}" in changed
                else untouched[one.name][key]
                for key in keys
            }
        return settings

    def sections(self) -> list[tuple[Section, list[SettingRow]]]:
        return [(section, list(self._groups(section))) for section in Section if section is not Section.PHASES]

    def _groups(self, section: Section) -> Iterator[SettingRow]:
        for one in fields(PolicyValues):
            words = WORDS[one.name]
            if words.section is not section or one.name == "phases":
                continue
            keys = keys_of(one)
            names = [one.name] if keys is None else [f"{one.name}-{key}" for key in keys]
            yield SettingRow(words, [self[name] for name in names], keys is not None, self.faults.get(one.name, ""))

    @staticmethod
    def called(field: forms.BoundField) -> str:
        """“Suppliers have to answer within: Urgent”: several tables have a column of this name."""
        return label_of(field.name.replace("-", "."))

    @property
    def has_advanced_faults(self) -> bool:
        names = {one.name for one in fields(PolicyValues) if WORDS[one.name].section is Section.ADVANCED}
        return bool(names & set(self.errors))


def _fields_of(one: Any, value: Any) -> Iterator[tuple[str, forms.Field]]:
    words, keys = WORDS[one.name], keys_of(one)
    if keys is None:
        yield one.name, _field(one, value, words.label, words)
        return
    for key in keys:
        yield f"{one.name}-{key}", _field(one, value[key], name_of(key), words)


def _field(one: Any, value: Any, label: Any, words: SettingWords) -> forms.Field:
    in_table = keys_of(one) is not None
    facts: dict[str, Any] = {"label": label, "help_text": "" if in_table else _help(words)}
    if NoneType in get_args(one.type):
        facts["required"] = False
    if choices := one.metadata.get("choices"):
        return forms.ChoiceField(
            choices=[(str(choice), NAMES[str(choice)]) for choice in choices], initial=value, **facts
        )
    limits: Limits = one.metadata.get("limits", Limits())
    is_whole = (get_args(one.type)[1] if in_table else one.type) is int
    if is_whole and limits.least is not None and limits.most is not None and limits.most - limits.least < _FEW:
        numbers = range(int(limits.least), int(limits.most) + 1)
        return forms.TypedChoiceField(
            choices=[(number, number) for number in numbers], coerce=int, initial=value, **facts
        )
    bounds: dict[str, Any] = {
        "min_value": None if limits.least is None else limits.least * words.unit.factor,
        "max_value": None if limits.most is None else limits.most * words.unit.factor,
    }
    attrs = {"class": "short", "inputmode": "numeric" if is_whole else "decimal"}
    if is_whole:
        return forms.IntegerField(initial=value, widget=forms.NumberInput(attrs), **bounds, **facts)
    typed_bounds: dict[str, Any] = {
        name: None if bound is None else Decimal(str(bound)) for name, bound in bounds.items()
    }
    return forms.DecimalField(
        initial=_typed(value, words.unit),
        widget=forms.NumberInput({**attrs, "step": "any"}),
        max_digits=12,
        decimal_places=6,
        **typed_bounds,
        **facts,
    )


def _help(words: SettingWords) -> Any:
    if words.unit is SettingUnit.NONE:
        return words.help
    return format_lazy("{} ({})", words.help, words.unit.sign)


def _typed(value: float | None, unit: SettingUnit) -> Decimal | None:
    """As it is typed: 25 for a share of 0.25, without needless digits; nothing for no limit."""
    if value is None:
        return None
    number = Decimal(str(round(value * unit.factor, 6))).normalize()
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number


def _kept(name: str, value: Any) -> Any:
    """As it is kept: a share as a part of 1."""
    if not isinstance(value, Decimal):
        return value
    number = value / WORDS[name].unit.factor
    return float(number)


class PhaseForm(forms.Form):
    """What holds in one region; an empty region is no row."""

    region = RegionField(required=False, label=_("Region"), help_text=_("Empty the field to take the region out."))
    phase = forms.ChoiceField(
        label=_("Phase"), choices=[(name.value, PHASE_NAMES[name.value]) for name in reversed(PhaseName)]
    )
    approval = forms.BooleanField(
        required=False, label=_("A coordinator reviews each need before it goes out"), initial=False
    )


class PhaseFormSet(forms.BaseFormSet[PhaseForm]):
    """The regions of which something is said, with some rows left for more."""

    form = PhaseForm
    renderer = get_default_renderer()
    extra = _ROWS_LEFT
    min_num = 0
    max_num = absolute_max = 200
    can_order = can_delete = can_delete_extra = False
    validate_min = validate_max = False
    default_error_messages = {"missing_management_form": _("Part of the form did not arrive. Please try again.")}

    def clean(self) -> None:
        seen: set[str] = set()
        for form in self.forms:
            region = form.cleaned_data.get("region")
            if region is not None and region.pk in seen:
                form.add_error("region", ValidationError(_("This region is named twice.")))
            seen |= {region.pk} if region is not None else set()

    def phases(self) -> dict[str, dict[str, Any]]:
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data.get("region") is not None]
        return {row["region"].pk: {"phase": row["phase"], "approval": row["approval"]} for row in rows}


def phase_rows(values: PolicyValues) -> list[dict[str, Any]]:
    """The rows of the form for what a policy says. One query."""
    regions = Region.objects.in_bulk(list(values.phases))
    return [
        {"region": regions[code], "phase": phase.phase, "approval": phase.approval}
        for code, phase in sorted(values.phases.items())
        if code in regions
    ]


class EnforceForm(SeenForm):
    note = forms.CharField(
        label=_("Why?"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Whoever looks at this version later reads it."),
    )
