"""Settings that are replayed by name: the default, those that show what each number does, and the front."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from apps.policy.values import Fairness, PolicyValues


@dataclass(frozen=True)
class Setting:
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


# The way and the need decide, and each parcel costs; no need is kept from what is there by a cap.
_PARCELS: Final[dict[str, Any]] = {
    "weights": _weights(coverage=0, distance=0.5),
    "share_cap": 1,
    "shipment_weight": 0,
}

SETTINGS: Final = (
    Setting("default", "small needs first, gifts wait for needs nearby", PolicyValues()),
    Setting(
        "parcels",
        "few parcels, each to a need that it fills, whoever has waited longer",
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
    Setting(
        "parcels-weekly",
        "few parcels, in rounds a week apart",
        _policy(**_PARCELS, fill_weight=1.6, shipment_units=1.8, gift_reach_km_per_day=13.5),
    ),
    Setting(
        "whole-needs",
        "few parcels, needs filled whole before the way counts",
        _policy(**_PARCELS, fill_weight=4.8, shipment_units=6.5),
    ),
    Setting(
        "fewest-parcels",
        "a parcel costs more than what it fills",
        _policy(**_PARCELS, fill_weight=0.2, shipment_units=3),
    ),
    Setting("nearest", "the way above all, gifts wait longest", _policy(fill_weight=0, gift_reach_km_per_day=8)),
    Setting("near", "as the default, gifts wait longer", _policy(gift_reach_km_per_day=8)),
    Setting("way-and-fill", "filling counts a tenth as much", _policy(fill_weight=0.03)),
    Setting("fuller", "filling counts three times as much", _policy(fill_weight=1)),
    Setting("fullest", "filling above all, within the reach of gifts", _policy(fill_weight=100)),
    Setting(
        "fill-only",
        "filling above all, from anywhere at once",
        _policy(fill_weight=1000, gift_reach_km=None, share_cap=1, shipment_weight=0, waiting_steps=0),
    ),
    Setting("at-once", "as the default, but no gift waits: as for what is urgent", _policy(gift_reach_km=None)),
    Setting(
        "oldest-first",
        "waiting told apart by three hours, for months",
        _policy(waiting_step_hours=3, waiting_steps=1_000),
    ),
    Setting(
        "equal-parts",
        "shared in eighths even where there is next to nothing",
        _policy(fairness=Fairness.URGENCY, fair_from=0),
    ),
)


def named(name: str) -> Setting:
    """Raises `KeyError`."""
    return {setting.name: setting for setting in SETTINGS}[name]
