"""Settings that can be replayed by name: the default, some that show the effect of one number, and the Pareto front."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from apps.policy.values import Fairness, PolicyValues


@dataclass(frozen=True)
class EvaluationSetting:
    """A policy, what it is meant to show, and how many days apart its rounds are meant to be."""

    name: str
    why: str
    policy: PolicyValues
    every: float = 7


def _weights(**facts: float) -> Mapping[str, float]:
    """The default weights with some changed; lead time, which is the same for all in these data, takes the rest."""
    weights = {**PolicyValues().weights, **facts}
    weights["lead_time"] = round(1 - sum(value for name, value in weights.items() if name != "lead_time"), 9)
    return weights


def _policy(**facts: Any) -> PolicyValues:
    return replace(PolicyValues(), **facts)


# Distance and filling decide, and each parcel costs units. No cap keeps a need from what is there.
_PARCELS: Final[dict[str, Any]] = {
    "weights": _weights(coverage=0, distance=0.5),
    "share_cap": 1,
    "shipment_weight": 0,
}

SETTINGS: Final = (
    EvaluationSetting("default", "small needs first, gifts wait for needs nearby", PolicyValues()),
    EvaluationSetting(
        "parcels",
        "few parcels, each to a need that it fills, however long others have waited",
        _policy(
            **_PARCELS | {"weights": _weights(coverage=0, distance=0.6)},
            fill_weight=1.8,
            shipment_units=2,
            gift_reach_km=600,
            gift_reach_km_per_day=10,
            waiting_steps=0,
        ),
        every=6,
    ),
    EvaluationSetting(
        "parcels-weekly",
        "few parcels, in rounds a week apart",
        _policy(**_PARCELS, fill_weight=1.6, shipment_units=1.8, gift_reach_km_per_day=13.5),
    ),
    EvaluationSetting(
        "whole-needs",
        "few parcels, needs filled whole before the distance counts",
        _policy(**_PARCELS, fill_weight=4.8, shipment_units=6.5),
    ),
    EvaluationSetting(
        "fewest-parcels",
        "a parcel costs more than what it fills",
        _policy(**_PARCELS, fill_weight=0.2, shipment_units=3),
    ),
    EvaluationSetting(
        "nearest", "distance above all, gifts wait longest", _policy(fill_weight=0, gift_reach_km_per_day=8)
    ),
    EvaluationSetting("near", "as the default, gifts wait longer", _policy(gift_reach_km_per_day=8)),
    EvaluationSetting("way-and-fill", "filling counts a tenth as much", _policy(fill_weight=0.03)),
    EvaluationSetting("fuller", "filling counts three times as much", _policy(fill_weight=1)),
    EvaluationSetting("fullest", "filling above all, within the reach of gifts", _policy(fill_weight=100)),
    EvaluationSetting(
        "fill-only",
        "filling above all, from anywhere at once",
        _policy(fill_weight=1000, gift_reach_km=None, share_cap=1, shipment_weight=0, waiting_steps=0),
    ),
    EvaluationSetting(
        "at-once", "as the default, but no gift waits: as for what is urgent", _policy(gift_reach_km=None)
    ),
    EvaluationSetting(
        "oldest-first",
        "waiting distinguished by three hours, for months",
        _policy(waiting_step_hours=3, waiting_steps=1_000),
    ),
    EvaluationSetting(
        "equal-parts",
        "shared in eighths even where there is next to nothing",
        _policy(fairness=Fairness.URGENCY, fair_from=0),
    ),
)


def named(name: str) -> EvaluationSetting:
    """Raises `KeyError`."""
    return {setting.name: setting for setting in SETTINGS}[name]
