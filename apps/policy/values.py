"""The numbers that a ministry may set: weights, tiers, clocks, shares, phases. Pure data with its defaults; version 1
is what stands here. `wording.py` has the words of each.
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
# The least by which a weight can be otherwise: a millionth of a per cent.
FINEST: Final = 1e-8


class Fairness(StrEnum):
    """Among whom a contested item is shared evenly, instead of serving one need in full before the next."""

    OFF = "off"
    URGENCY = "urgency"  # among the needs of the same tier and urgency
    TIER = "tier"  # among all needs of the same tier; urgency decides only within an equal part


class PhaseName(StrEnum):
    """What a region is going through. A word for people: what follows from it is said beside it."""

    NORMAL = "normal"
    EMERGENCY = "emergency"


class Doubt(StrEnum):
    """What a ministry may set and hardly means."""

    HOLD_OUTLASTS_ESCALATION = "hold_outlasts_escalation"
    ESCALATION_OUTLASTS_NEED = "escalation_outlasts_need"
    HOSPITALS_NOT_FIRST = "hospitals_not_first"


@dataclass(frozen=True, slots=True)
class Phase:
    """What holds in a region: its phase, and whether a coordinator looks at each need before it goes out."""

    phase: str = PhaseName.NORMAL
    approval: bool = False


@dataclass(frozen=True, kw_only=True)
class PolicyValues:
    """One version of the policy. Raises `InvalidPolicyError`, a `ValueError`, for values that make no sense."""

    # One for each registered term. A version that was stored before a term existed ranks as it did: there it weighs 0.
    weights: Mapping[str, float] = by_key(terms.default_weights, if_missing=0, least=0, most=1)
    # Whose needs are served first, by kind of organisation: 1 before 2.
    tiers: Mapping[str, int] = by_key(
        {"hospital": 1, "health_facility": 2, "community": 3, "enterprise": 4, "supplier": 4}, least=1, most=LAST_TIER
    )
    # How long a supplier has to answer; and then, of a need: how long until it is escalated to a coordinator, until its
    # owner is asked whether it is still needed, and until it is suspended because nobody said so.
    hold_minutes: Mapping[str, int] = by_key({"emergency": 15, "urgent": 120, "routine": 1440}, least=1, most=43_200)
    escalation_hours: Mapping[str, int] = by_key({"emergency": 2, "urgent": 10, "routine": 72}, least=1, most=8_760)
    ask_hours: Mapping[str, int] = by_key({"emergency": 54, "urgent": 126, "routine": 252}, least=1, most=8_760)
    stale_hours: Mapping[str, int] = by_key({"emergency": 72, "urgent": 168, "routine": 336}, least=1, most=8_760)
    # The same two of an offer.
    offer_ask_hours: int = limited(240, least=1, most=8_760)
    offer_stale_hours: int = limited(336, least=1, most=8_760)
    # Waiting this long lifts a need by one tier, again and again: late, not forgotten.
    ageing_hours_per_tier: float = limited(24, above=0, most=8_760)
    # While an item is contested, no need takes more than this share of it before the others of its tier had their turn.
    share_cap: float = limited(0.5, above=0, most=1)
    # While an item is contested, a need is served in this many equal parts, each behind the same part of the others.
    fairness: str = field(default=Fairness.URGENCY, metadata={"choices": tuple(Fairness)})
    fair_parts: int = limited(8, least=1, most=100)
    # By region code: what holds there and in all that lies in it, unless something nearer says otherwise.
    phases: Mapping[str, Phase] = field(default_factory=dict)
    # A further shipment for a need weighs as much as this much score on the whole need; 0: as many as it takes.
    shipment_weight: float = limited(0.02, least=0, most=1)
    # Every shipment weighs as much as a whole score on this many units, however large the need.
    shipment_units: float = limited(0, least=0, most=1_000)
    # Equal parts only where what is free covers this share of what the tier and those above it ask for: below, nobody
    # would be left with enough, and small needs are filled instead.
    fair_from: float = limited(0.25, least=0, most=1)
    # What a unit that would fill the whole need is worth more, as a score; one of a thousand, a thousandth of it.
    fill_weight: float = limited(0.3, least=0, most=1_000)
    # How finely waiting time is told apart: in steps of this many hours, up to so many steps.
    waiting_step_hours: float = limited(24, above=0, most=8_760)
    waiting_steps: int = limited(3, least=0, most=1_000)
    # A gift goes no farther than this at once, and this much farther for each day that it has been on offer, to needs
    # that are routine; None: anywhere at once, as for all that is urgent and all that is sold.
    gift_reach_km: float | None = limited(350, least=0, most=20_000)
    gift_reach_km_per_day: float = limited(13, least=0, most=20_000)
    # Small gains make nobody's phone ring: who was asked already counts as this much score better, for a quantity that
    # changes by up to this share is not asked again, and unless a tier gets more, or all together is worth this much
    # more, nothing is changed.
    stay_bonus: float = limited(0.1, least=0, most=1)
    stay_share: float = limited(0.1, least=0, most=1)
    stay_margin: float = limited(0.01, least=0, most=1)
    # An offer that covers less than this share of a need is not worth a shipment.
    matter_share: float = limited(0.01, least=0, most=1)
    # How many suppliers wait as next best.
    standbys: int = limited(3, least=0, most=50)
    # Where the distance term is one half.
    half_distance_km: float = limited(500, above=0, most=20_000)
    # How late a delivery may be before its term is 0.
    lateness_days: float = limited(14, above=0, most=365)
    # The record of a supplier counts as if this many matches had gone this well before.
    record_prior_matches: float = limited(5, above=0, most=1_000)
    record_prior_share: float = limited(0.8, least=0, most=1)
    # After this long without confirmation an offer's freshness is 0.
    offer_fresh_days: float = limited(14, above=0, most=365)

    def __post_init__(self) -> None:
        checked = [one for one in fields(self) if one.name != "phases"]
        faults = [fault for one in checked for fault in faults_of(one, getattr(self, one.name))]
        faults += [fault for code, phase in self.phases.items() for fault in _faults_of_phase(f"phases.{code}", phase)]
        # What belongs together is looked at once each of it makes sense.
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
        """Read what `to_json` wrote, by this program or by an earlier one; what is unknown is refused.

        A setting, or an entry of a table, that is missing has its default; a missing weight is 0.
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
        """Every single value by its name, entries of tables as `weights.price`, always in the same order."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Mapping):
                found |= {f"{one.name}.{key}": value[key] for key in keys_of(one) or sorted(value)}
            else:
                found[one.name] = value
        return found

    def rebased(self, base: "PolicyValues", onto: "PolicyValues") -> "PolicyValues":
        """What these change against `base`, changed in `onto` instead: setting by setting, entry by entry of a table.
        Weights go together, as they add up. Where what comes of it contradicts itself, these as they are.
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
        """What makes sense by itself and hardly together, with the urgency that it is about."""
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
        """The rank of the needs of such organisations, 1 first; a kind that posts none is last."""
        return self.tiers.get(kind, LAST_TIER)

    def phase_of(self, path: str) -> tuple[str | None, Phase]:
        """What holds at the place of this path ("CN/420000/420100/"), with the code of the region that says so: the
        nearest one. Where none does, all is normal.
        """
        for code in reversed([code for code in path.split("/") if code]):
            if code in self.phases:
                return code, self.phases[code]
        return None, Phase()


def _merged(mine: Any, before: Any, now: Any) -> Any:
    """What `mine` has otherwise than `before`, else what is `now`; of a table, entry by entry."""
    if not isinstance(mine, dict):
        return now if mine == before else mine
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
