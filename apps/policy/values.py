"""The numbers that a ministry may set: weights, tiers, clocks, shares, phases. Pure.

The defaults are version 1 of the policy. `wording.py` has the words of each setting, and docs/matching/rules.md a table
of all of them.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from apps.policy import terms
from apps.policy.faults import (
    Fault,
    InvalidPolicyError,
    Wrong,
    by_key,
    completed,
    faults_of,
    keys_of,
    limited,
    must_be_among,
)

URGENCIES: Final = ("emergency", "urgent", "routine")
# The kinds of organisations that may post needs.
REQUESTERS: Final = ("hospital", "health_facility", "community", "enterprise", "supplier")
LAST_TIER: Final = len(REQUESTERS)
# The smallest difference of two weights that counts, as a share: a millionth of a per cent. Pages show six decimals.
FINEST: Final = 1e-8


class Fairness(StrEnum):
    """Which needs share a contested item evenly. Without sharing, one need is served in full before the next."""

    OFF = "off"
    URGENCY = "urgency"  # among the needs of the same tier and urgency
    TIER = "tier"  # among all needs of the same tier; urgency decides only within an equal part


class PhaseName(StrEnum):
    """The phase of a region. It is a word for people only; `Phase.approval` is what changes what happens."""

    NORMAL = "normal"
    EMERGENCY = "emergency"


class Doubt(StrEnum):
    """A combination of settings that is valid, but that a ministry hardly intends."""

    HOLD_OUTLASTS_ESCALATION = "hold_outlasts_escalation"
    ESCALATION_OUTLASTS_NEED = "escalation_outlasts_need"
    HOSPITALS_NOT_FIRST = "hospitals_not_first"


@dataclass(frozen=True, slots=True)
class Phase:
    """What applies in a region: its phase, and whether a coordinator reviews each need before it opens."""

    phase: str = PhaseName.NORMAL
    approval: bool = False


@dataclass(frozen=True, kw_only=True)
class PolicyValues:
    """One version of the policy. Raises `InvalidPolicyError`, a `ValueError`, for values that make no sense."""

    # One for each registered term. In a version that was stored before a term existed, the term weighs 0: it ranks as
    # before.
    weights: Mapping[str, float] = by_key(terms.default_weights, if_missing=0, least=0, most=1)
    # The tier of each kind of organisation: needs of tier 1 are served before those of tier 2.
    tiers: Mapping[str, int] = by_key(
        {"hospital": 1, "health_facility": 2, "community": 3, "enterprise": 4, "supplier": 4}, least=1, most=LAST_TIER
    )
    # What a need of unknown quantity may take to reach a minimum order, in trial lots of the item: plausible for such a
    # body. 1: never more than the trial lot.
    trial_lots: Mapping[str, int] = by_key(
        {"hospital": 10, "health_facility": 5, "community": 3, "enterprise": 2, "supplier": 2}, least=1, most=100
    )
    # How long a supplier has to answer.
    hold_minutes: Mapping[str, int] = by_key({"emergency": 15, "urgent": 120, "routine": 1440}, least=1, most=43_200)
    # The time after which a need that is not covered is escalated to a coordinator.
    escalation_hours: Mapping[str, int] = by_key({"emergency": 2, "urgent": 10, "routine": 72}, least=1, most=8_760)
    # How long after the last confirmation the requester is asked whether the need still stands, and how long after it
    # the need is suspended.
    ask_hours: Mapping[str, int] = by_key({"emergency": 54, "urgent": 126, "routine": 252}, least=1, most=8_760)
    stale_hours: Mapping[str, int] = by_key({"emergency": 72, "urgent": 168, "routine": 336}, least=1, most=8_760)
    # The time after which an offer that waits for a coordinator's review is escalated to the next one up.
    offer_escalation_hours: int = limited(10, least=1, most=8_760)
    # The same two clocks of freshness of an offer.
    offer_ask_hours: int = limited(240, least=1, most=8_760)
    offer_stale_hours: int = limited(336, least=1, most=8_760)
    # Waiting this long lifts a need by one tier, and again after the same time. So a low tier is late, but not
    # forgotten.
    ageing_hours_per_tier: float = limited(24, above=0, most=8_760)
    # While an item is contested, no need gets more than this share of it before the others of its tier had a turn.
    share_cap: float = limited(0.5, above=0, most=1)
    # While an item is shared, each need is divided into `fair_parts` equal parts. The first parts of all needs are
    # served before any second part, and so on.
    fairness: str = field(default=Fairness.URGENCY, metadata={"choices": tuple(Fairness)})
    fair_parts: int = limited(8, least=1, most=100)
    # By region code. A phase applies to everything in the region, unless a smaller region has a phase of its own.
    phases: Mapping[str, Phase] = field(default_factory=dict)
    # The cost of each further shipment for a need, as a score on the whole need. 0: shipments cost nothing.
    shipment_weight: float = limited(0.02, least=0, most=1)
    # The cost of every shipment, as units at a score of 1, whatever the size of the need.
    shipment_units: float = limited(0, least=0, most=1_000)
    # Equal parts are used only if supply covers this share of what the tier and those above it ask for. With less,
    # equal parts would leave everybody with too little, so small needs are filled first.
    fair_from: float = limited(0.25, least=0, most=1)
    # The reward for filling a need, as a score: the whole of it for a need of one unit, a thousandth of it per unit for
    # a need of a thousand. It favours small needs.
    fill_weight: float = limited(0.3, least=0, most=1_000)
    # Waiting time is compared in steps of this many hours, and only up to this many steps.
    waiting_step_hours: float = limited(24, above=0, most=8_760)
    waiting_steps: int = limited(3, least=0, most=1_000)
    # How far a donation may go to a routine need: so far at once, and so much farther for each day since it was
    # offered. None: anywhere at once. Urgent needs and goods that are sold have no such limit.
    gift_reach_km: float | None = limited(350, least=0, most=20_000)
    gift_reach_km_per_day: float = limited(13, least=0, most=20_000)
    # A request that is changed disturbs a supplier, so small gains are not worth it (`docs/matching/allocation.md`).
    # A supplier that was asked already counts as so much better, as a score.
    stay_bonus: float = limited(0.1, least=0, most=1)
    # A held quantity is not changed by less than this share of it.
    stay_share: float = limited(0.1, least=0, most=1)
    # A new plan must be worth this much more than the present one, as a share, unless a tier gets more by it.
    stay_margin: float = limited(0.01, least=0, most=1)
    # An offer that covers less than this share of a need is not worth a shipment.
    matter_share: float = limited(0.01, least=0, most=1)
    # How many suppliers wait as backups of a need.
    standbys: int = limited(3, least=0, most=50)
    # The distance at which its term is one half.
    half_distance_km: float = limited(500, above=0, most=20_000)
    # The lateness at which the term of the lead time is 0.
    lateness_days: float = limited(14, above=0, most=365)
    # A supplier's record begins with so many invented matches, of which this share was kept (additive smoothing).
    # Without them, the first answer of a new supplier would decide everything.
    record_prior_matches: float = limited(5, above=0, most=1_000)
    record_prior_share: float = limited(0.8, least=0, most=1)
    # The time since the last confirmation at which the term of freshness is 0.
    offer_fresh_days: float = limited(14, above=0, most=365)

    def __post_init__(self) -> None:
        checked = [one for one in fields(self) if one.name != "phases"]
        faults = [fault for one in checked for fault in faults_of(one, getattr(self, one.name))]
        faults += [fault for code, phase in self.phases.items() for fault in _faults_of_phase(f"phases.{code}", phase)]
        # Values are compared with each other only once each of them is valid: otherwise one fault would be reported
        # twice.
        if faults := faults or [*self._contradictions()]:
            raise InvalidPolicyError(faults)

    def _contradictions(self) -> Iterator[Fault]:
        total = sum(self.weights.values())
        if abs(total - 1) > FINEST:
            yield Fault("weights", Wrong.SUM, {"total": total})
        for urgency in URGENCIES:
            if self.ask_hours[urgency] >= self.stale_hours[urgency]:
                yield Fault(f"ask_hours.{urgency}", Wrong.ORDER, {"later": f"stale_hours.{urgency}"})
        if self.offer_ask_hours >= self.offer_stale_hours:
            yield Fault("offer_ask_hours", Wrong.ORDER, {"later": "offer_stale_hours"})

    @classmethod
    def from_json(cls, values: Any) -> "PolicyValues":
        """Read what `to_json` of this program or of an earlier one wrote.

        Where a setting or an entry of a table is missing, it has its default; a missing weight is 0. Raises
        `InvalidPolicyError` for settings that do not exist and for values that make no sense.
        """
        if not isinstance(values, Mapping):
            raise InvalidPolicyError([Fault("settings", Wrong.TABLE)])
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InvalidPolicyError(Fault(name, Wrong.UNKNOWN) for name in unknown)
        given = dict(values)
        for one in fields(cls):
            if keys_of(one) is not None and isinstance(given.get(one.name), Mapping):
                given[one.name] = completed(one, given[one.name])
        if "phases" in given:
            given["phases"] = _phases(given["phases"])
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def entries(self) -> dict[str, Any]:
        """Every single value by its name, such as `share_cap` or `weights.price`. The order never changes."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Mapping):
                found |= {f"{one.name}.{key}": value[key] for key in keys_of(one) or sorted(value)}
            else:
                found[one.name] = value
        return found

    def rebased(self, base: "PolicyValues", onto: "PolicyValues") -> "PolicyValues":
        """Apply the differences between `base` and these values to `onto` (a three-way merge), entry by entry.

        All weights count as one setting, because they add up to 1. If the result contradicts itself, these values are
        returned as they are.
        """
        mine, before, now = self.to_json(), base.to_json(), onto.to_json()
        merged = {name: _merged(mine[name], before[name], now[name]) for name in mine}
        if mine["weights"] != before["weights"]:
            merged["weights"] = mine["weights"]
        try:
            return PolicyValues.from_json(merged)
        except InvalidPolicyError:
            return self

    def doubts(self) -> Iterator[tuple[Doubt, str]]:
        """The settings that are valid but hardly intended together, each with its urgency, or "" for all."""
        for urgency in URGENCIES:
            if self.hold(urgency) >= self.escalates_after(urgency):
                yield Doubt.HOLD_OUTLASTS_ESCALATION, urgency
            if self.escalates_after(urgency) >= self.stale_after(urgency):
                yield Doubt.ESCALATION_OUTLASTS_NEED, urgency
        if any(tier < self.tiers["hospital"] for tier in self.tiers.values()):
            yield Doubt.HOSPITALS_NOT_FIRST, ""

    def hold(self, urgency: str) -> dt.timedelta:
        """How long a supplier has to answer."""
        return dt.timedelta(minutes=self.hold_minutes[urgency])

    def escalates_after(self, urgency: str) -> dt.timedelta:
        return dt.timedelta(hours=self.escalation_hours[urgency])

    def asks_after(self, urgency: str) -> dt.timedelta:
        return dt.timedelta(hours=self.ask_hours[urgency])

    def stale_after(self, urgency: str) -> dt.timedelta:
        return dt.timedelta(hours=self.stale_hours[urgency])

    @property
    def offer_escalates_after(self) -> dt.timedelta:
        return dt.timedelta(hours=self.offer_escalation_hours)

    @property
    def offer_asks_after(self) -> dt.timedelta:
        return dt.timedelta(hours=self.offer_ask_hours)

    @property
    def offer_stale_after(self) -> dt.timedelta:
        return dt.timedelta(hours=self.offer_stale_hours)

    @property
    def offer_answer_within(self) -> dt.timedelta:
        """How long a supplier who was asked has before the offer is suspended."""
        return self.offer_stale_after - self.offer_asks_after

    def tier(self, kind: str) -> int:
        """The tier of an organisation's needs by its kind, 1 first. A kind that posts no needs is last."""
        return self.tiers.get(kind, LAST_TIER)

    def most_plausible(self, kind: str, trial_lot: int) -> int:
        """The largest quantity that a body of this kind may be asked to take while it has named none."""
        return self.trial_lots.get(kind, 1) * trial_lot

    def phase_of(self, path: str) -> tuple[str | None, Phase]:
        """What applies in the region of this path ("CN/420000/420100/"), and the code of the region that sets it.

        The smallest region with a phase decides. Without any, the code is None and the phase is normal.
        """
        for code in reversed([code for code in path.split("/") if code]):
            if code in self.phases:
                return code, self.phases[code]
        return None, Phase()


def _merged(mine: Any, before: Any, now: Any) -> Any:
    """`mine` where it differs from `before`, otherwise `now`; tables are merged entry by entry."""
    if not isinstance(mine, dict):
        return now if mine == before else mine
    # An entry that was removed counts as changed too, so it is not taken from `now` again.
    changed = {key for key in {*mine, *before} if mine.get(key) != before.get(key)}
    return {key: now[key] for key in now if key not in changed} | {key: mine[key] for key in changed if key in mine}


def _phases(given: Any) -> dict[str, Phase]:
    if not isinstance(given, Mapping):
        raise InvalidPolicyError([Fault("phases", Wrong.TABLE)])
    faults: list[Fault] = []
    read: dict[str, Phase] = {}
    for code, facts in given.items():
        name = f"phases.{code}"
        if not isinstance(facts, Mapping):
            faults.append(Fault(name, Wrong.TABLE))
        elif unknown := sorted(set(facts) - {"phase", "approval"}):
            faults += [Fault(f"{name}.{one}", Wrong.UNKNOWN) for one in unknown]
        else:
            read[code] = Phase(**facts)
    if faults:
        raise InvalidPolicyError(faults)
    return read


def _faults_of_phase(name: str, phase: Any) -> Iterator[Fault]:
    yield from must_be_among(f"{name}.phase", phase.phase, tuple(PhaseName))
    if not isinstance(phase.approval, bool):
        yield Fault(f"{name}.approval", Wrong.CHOICE, {"choices": (True, False)})
