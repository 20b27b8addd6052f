"""The words of every setting: a label, one plain sentence, and the unit in which it is shown and typed.

It also has the sentences for faults and doubts. A setting that is added to `PolicyValues` appears on the pages once it
has its words here.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.permissions import OrganisationKind
from apps.policy import terms
from apps.policy.faults import Fault, Limits, Wrong
from apps.policy.values import Doubt, PolicyValues

Text = str | Promise


class SettingUnit(Enum):
    """The unit of a setting on the pages. A share is stored as a part of 1, and shown and typed as per cent."""

    PERCENT = "percent"
    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    KILOMETRES = "kilometres"
    PARTS = "parts"
    SUPPLIERS = "suppliers"
    MATCHES = "matches"
    POINTS = "points"
    KILOMETRES_A_DAY = "kilometres a day"
    STEPS = "steps"
    GOODS = "goods"
    NONE = "none"

    @property
    def sign(self) -> Text:
        """What stands after the number."""
        return _SIGNS.get(self, "")

    @property
    def factor(self) -> int:
        """The factor from the stored number to the one on the page: 0.25 is shown as 25 %."""
        return 100 if self is SettingUnit.PERCENT else 1


_SIGNS: Final[dict[SettingUnit, Text]] = {
    SettingUnit.PERCENT: "%",
    SettingUnit.MINUTES: gettext_lazy("minutes"),
    SettingUnit.HOURS: gettext_lazy("hours"),
    SettingUnit.DAYS: gettext_lazy("days"),
    SettingUnit.KILOMETRES: "km",
    SettingUnit.PARTS: gettext_lazy("parts"),
    SettingUnit.SUPPLIERS: gettext_lazy("suppliers"),
    SettingUnit.MATCHES: gettext_lazy("matches"),
    SettingUnit.POINTS: gettext_lazy("points of score"),
    SettingUnit.KILOMETRES_A_DAY: gettext_lazy("km a day"),
    SettingUnit.STEPS: gettext_lazy("steps"),
    SettingUnit.GOODS: gettext_lazy("units of the item"),
}


class Section(Enum):
    """The section of the page in which a setting stands."""

    FIRST = "first"
    WEIGHTS = "weights"
    CLOCKS = "clocks"
    PHASES = "phases"
    ADVANCED = "advanced"

    @property
    def title(self) -> Text:
        return _TITLES[self]


_TITLES: Final[dict[Section, Text]] = {
    Section.FIRST: gettext_lazy("Who is served first"),
    Section.WEIGHTS: gettext_lazy("How suppliers are chosen"),
    Section.CLOCKS: gettext_lazy("Clocks"),
    Section.PHASES: gettext_lazy("Regions and phases"),
    Section.ADVANCED: gettext_lazy("Advanced settings"),
}


@dataclass(frozen=True)
class SettingWords:
    label: Text
    help: Text
    unit: SettingUnit
    section: Section = Section.ADVANCED


WORDS: Final[dict[str, SettingWords]] = {
    "tiers": SettingWords(
        gettext_lazy("Tiers"),
        gettext_lazy("When goods are short, the needs of tier 1 are served before those of tier 2, and so on."),
        SettingUnit.NONE,
        Section.FIRST,
    ),
    "trial_lots": SettingWords(
        gettext_lazy("Most trial lots"),
        gettext_lazy("A need of unknown quantity takes a minimum order of at most so many trial lots of the item."),
        SettingUnit.NONE,
        Section.FIRST,
    ),
    "ageing_hours_per_tier": SettingWords(
        gettext_lazy("Waiting that lifts a need by one tier"),
        gettext_lazy("Each time a need has waited this long, it moves up one tier."),
        SettingUnit.HOURS,
        Section.FIRST,
    ),
    "share_cap": SettingWords(
        gettext_lazy("Largest share of a short item"),
        gettext_lazy(
            "No need gets more than this share of what it can reach until others in its tier have had their turn."
        ),
        SettingUnit.PERCENT,
        Section.FIRST,
    ),
    "fairness": SettingWords(
        gettext_lazy("A short item is shared evenly"),
        gettext_lazy("Which needs share a short item equally, instead of one need being served in full first."),
        SettingUnit.NONE,
        Section.FIRST,
    ),
    "weights": SettingWords(
        gettext_lazy("Weights"),
        gettext_lazy("How much each reason counts when suppliers are compared for a need. Together they are 100 %."),
        SettingUnit.PERCENT,
        Section.WEIGHTS,
    ),
    "hold_minutes": SettingWords(
        gettext_lazy("A supplier answers within"),
        gettext_lazy("Goods are held this long for a need; then the next supplier is asked."),
        SettingUnit.MINUTES,
        Section.CLOCKS,
    ),
    "escalation_hours": SettingWords(
        gettext_lazy("A coordinator steps in after"),
        gettext_lazy("A need that is not covered by then is escalated to the next coordinator."),
        SettingUnit.HOURS,
        Section.CLOCKS,
    ),
    "ask_hours": SettingWords(
        gettext_lazy("Asked whether still needed after"),
        gettext_lazy("The requester is then asked, with one click, whether the need still stands."),
        SettingUnit.HOURS,
        Section.CLOCKS,
    ),
    "stale_hours": SettingWords(
        gettext_lazy("Suspended, if nobody confirms it, after"),
        gettext_lazy("A need that nobody confirmed by then is suspended until somebody does."),
        SettingUnit.HOURS,
        Section.CLOCKS,
    ),
    "offer_escalation_hours": SettingWords(
        gettext_lazy("A doubtful offer goes to the next coordinator after"),
        gettext_lazy("An offer that nobody has reviewed by then is escalated to the next coordinator."),
        SettingUnit.HOURS,
        Section.CLOCKS,
    ),
    "offer_ask_hours": SettingWords(
        gettext_lazy("Suppliers are asked whether goods are still available after"),
        gettext_lazy("The supplier is then asked, with one click, whether the goods are still available."),
        SettingUnit.HOURS,
        Section.CLOCKS,
    ),
    "offer_stale_hours": SettingWords(
        gettext_lazy("An offer is suspended, if nobody confirms it, after"),
        gettext_lazy("An offer that nobody has confirmed by then is not used until somebody confirms it."),
        SettingUnit.HOURS,
        Section.CLOCKS,
    ),
    "phases": SettingWords(
        gettext_lazy("Regions and phases"),
        gettext_lazy("A setting for a region applies to everything inside it, unless a smaller region has its own."),
        SettingUnit.NONE,
        Section.PHASES,
    ),
    "fair_parts": SettingWords(
        gettext_lazy("Parts of an even share"),
        gettext_lazy("In how many rounds a short item is shared out."),
        SettingUnit.PARTS,
    ),
    "shipment_weight": SettingWords(
        gettext_lazy("Cost of a further shipment"),
        gettext_lazy("How much better a plan must be to use one more supplier; 0 means no limit."),
        SettingUnit.POINTS,
    ),
    "shipment_units": SettingWords(
        gettext_lazy("Cost of every shipment"),
        gettext_lazy("A shipment must be worth a full score on this many units; 0 means no minimum."),
        SettingUnit.GOODS,
    ),
    "fair_from": SettingWords(
        gettext_lazy("Supply from which it is shared evenly"),
        gettext_lazy("With less than this share of what is asked for, small needs are filled instead."),
        SettingUnit.PERCENT,
    ),
    "fill_weight": SettingWords(
        gettext_lazy("Reward for filling a need"),
        gettext_lazy(
            "Extra score of a unit that meets a whole need. In a need of 1,000 units, each gets a thousandth of it."
        ),
        SettingUnit.POINTS,
    ),
    "waiting_step_hours": SettingWords(
        gettext_lazy("Waiting time counts in steps of"),
        gettext_lazy("Among needs that are alike, one that has waited a whole step longer comes first."),
        SettingUnit.HOURS,
    ),
    "waiting_steps": SettingWords(
        gettext_lazy("Steps of waiting that count"),
        gettext_lazy("Beyond this many steps, all needs count as having waited equally long."),
        SettingUnit.STEPS,
    ),
    "gift_reach_km": SettingWords(
        gettext_lazy("How far a donation goes on its first day"),
        gettext_lazy("To a need that can wait, a donation goes no farther on its first day. Empty means anywhere."),
        SettingUnit.KILOMETRES,
    ),
    "gift_reach_km_per_day": SettingWords(
        gettext_lazy("How much farther it goes each day"),
        gettext_lazy("A donation that nobody nearby needs is sent farther with each day that it is on offer."),
        SettingUnit.KILOMETRES_A_DAY,
    ),
    "stay_bonus": SettingWords(
        gettext_lazy("Preference for suppliers already asked"),
        gettext_lazy("How much better another supplier must be before a request is taken back for it."),
        SettingUnit.POINTS,
    ),
    "stay_share": SettingWords(
        gettext_lazy("Quantity change that is ignored"),
        gettext_lazy("A supplier is not asked again for a quantity that differs by less."),
        SettingUnit.PERCENT,
    ),
    "stay_margin": SettingWords(
        gettext_lazy("Improvement that a new plan must bring"),
        gettext_lazy("Requests are only changed if a tier gets more, or the whole is better by this much."),
        SettingUnit.PERCENT,
    ),
    "matter_share": SettingWords(
        gettext_lazy("Least share of a need worth a shipment"),
        gettext_lazy("An offer that covers less of a need is not asked."),
        SettingUnit.PERCENT,
    ),
    "standbys": SettingWords(
        gettext_lazy("Backup suppliers"),
        gettext_lazy("How many suppliers are kept as backups in case those asked decline."),
        SettingUnit.SUPPLIERS,
    ),
    "half_distance_km": SettingWords(
        gettext_lazy("Distance that scores half"),
        gettext_lazy("A supplier this far away gets half the points for distance."),
        SettingUnit.KILOMETRES,
    ),
    "lateness_days": SettingWords(
        gettext_lazy("Delay that scores nothing"),
        gettext_lazy("A delivery this much later than needed gets no points for delivery time."),
        SettingUnit.DAYS,
    ),
    "record_prior_matches": SettingWords(
        gettext_lazy("Starting record: matches"),
        gettext_lazy("A supplier’s record is counted as if it had had this many matches before."),
        SettingUnit.MATCHES,
    ),
    "record_prior_share": SettingWords(
        gettext_lazy("Starting record: share kept"),
        gettext_lazy("The share of these matches that counts as kept."),
        SettingUnit.PERCENT,
    ),
    "offer_fresh_days": SettingWords(
        gettext_lazy("Age at which freshness scores nothing"),
        gettext_lazy("An offer confirmed this long ago gets no points for freshness."),
        SettingUnit.DAYS,
    ),
}

# A table of its own: "emergency" is also an urgency in `NAMES`, and other languages need another word for each.
PHASE_NAMES: Final[dict[str, Text]] = {
    "normal": gettext_lazy("Normal phase"),
    "emergency": gettext_lazy("Emergency phase"),
}

# The names of entries of tables and of choices. Terms of the score bring their own words (`terms.register`).
NAMES: Final[dict[str, Text]] = {
    "emergency": gettext_lazy("Emergency"),
    "urgent": gettext_lazy("Urgent"),
    "routine": gettext_lazy("Routine"),
    "off": gettext_lazy("No: one need after the other"),
    "urgency": gettext_lazy("Among needs of the same tier and urgency"),
    "tier": gettext_lazy("Among all needs of the same tier"),
    "phase": gettext_lazy("Phase"),
    "approval": gettext_lazy("A coordinator reviews each need first"),
    **{kind.value: kind.label for kind in OrganisationKind},
}


def name_of(entry: str) -> str:
    """The name of an entry of a table or of a choice; the key itself if it has no words."""
    return str(NAMES.get(entry) or terms.label_of(entry) or entry)


def label_of(name: str) -> str:
    """The label of a setting or an entry: “Weights: Price” for `weights.price`; the key itself if it has no words."""
    # A fault may name a setting that does not exist, so every look-up here needs a way out.
    field, _dot, entry = name.partition(".")
    label = str(WORDS[field].label) if field in WORDS else field
    if not entry:
        return label
    entries = " · ".join(name_of(part) for part in entry.split("."))
    return _("%(setting)s: %(entry)s") % {"setting": label, "entry": entries}


def unit_of(name: str) -> SettingUnit:
    field = name.partition(".")[0]
    return WORDS[field].unit if field in WORDS else SettingUnit.NONE


def doubts(values: PolicyValues) -> list[str]:
    """Sentences about settings that are valid but hardly intended together."""
    said = {
        Doubt.HOLD_OUTLASTS_ESCALATION: _("%(urgency)s: a coordinator steps in before a supplier has to answer."),
        Doubt.ESCALATION_OUTLASTS_NEED: _("%(urgency)s: a need is suspended before a coordinator steps in."),
        Doubt.HOSPITALS_NOT_FIRST: _("Hospitals are not served first."),
    }
    return [said[doubt] % {"urgency": NAMES.get(urgency, urgency)} for doubt, urgency in values.doubts()]


def say(fault: Fault) -> str:
    """A sentence about a fault that names the setting, for a list of faults."""
    return _("%(setting)s: %(fault)s") % {"setting": label_of(fault.name), "fault": say_briefly(fault)}


def say_briefly(fault: Fault) -> str:
    """A sentence about a fault that does not name the setting, because it stands beside its field."""
    match fault.wrong:
        case Wrong.RANGE:
            return _range(fault.facts["limits"], unit_of(fault.name))
        case Wrong.SUM:
            return _sum(fault.facts["total"])
        case Wrong.ORDER:
            return _("It must be less than “%(later)s”.") % {"later": label_of(fault.facts["later"])}
        case Wrong.CHOICE:
            # Choices of a phase have names of their own (see `PHASE_NAMES`).
            names = PHASE_NAMES if fault.name.startswith("phases.") else NAMES
            choices = [str(names.get(one, one)) for one in fault.facts["choices"]]
            return _("Choose one of: %(choices)s.") % {"choices": ", ".join(choices)}
    return {
        Wrong.UNKNOWN: _("There is no such setting."),
        Wrong.MISSING: _("A number is missing."),
        Wrong.TABLE: _("This must be a table of settings."),
        Wrong.NUMBER: _("This must be a number."),
        Wrong.WHOLE: _("This must be a whole number."),
    }[fault.wrong]


# Whole sentences for each case, because other languages order their words in another way.
def _range(limits: Limits, unit: SettingUnit) -> str:
    def shown(limit: float | None) -> str:
        return "" if limit is None else plain(limit * unit.factor)

    facts = {"least": shown(limits.least), "above": shown(limits.above), "most": shown(limits.most)}
    if limits.above is not None:
        text = (
            _("It must be more than %(above)s and at most %(most)s.")
            if facts["most"]
            else _("It must be more than %(above)s.")
        )
    elif limits.least is not None:
        text = _("It must be between %(least)s and %(most)s.") if facts["most"] else _("It must be at least %(least)s.")
    else:
        text = _("It must be at most %(most)s.")
    return text % facts


def _sum(total: float) -> str:
    # `plain` writes six decimals, and a sum that differs by less is not refused (`FINEST`). So the difference is never
    # shown as 0.
    apart = (total - 1) * 100
    facts = {"total": plain(total * 100), "apart": plain(abs(apart))}
    if apart > 0:
        return _("They must add up to 100 %%. They add up to %(total)s %%: take %(apart)s %% away.") % facts
    return _("They must add up to 100 %%. They add up to %(total)s %%: %(apart)s %% are missing.") % facts


def plain(value: float) -> str:
    """A number without needless digits: 24, 0.5, 43,200."""
    # Six decimals hide what binary fractions add: 0.07 * 100 is 7.000000000000001.
    rounded: Any = round(float(value), 6)
    return number_format(int(rounded) if rounded == int(rounded) else rounded, force_grouping=True)
