"""The published requests, replayed: our settings against the published strategies and the targets.

`python -m tests.benchmarks.backtest [--draws 10] [--front] [--search] [--official]`. Whether a target is met does not
depend on the load of the machine; how long it takes does.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace

from apps.evaluation.bounds import bounds
from apps.evaluation.dataset import Dataset, bundled, read
from apps.evaluation.metrics import FIVE, Metrics
from apps.evaluation.presets import SETTINGS, EvaluationSetting, named
from apps.evaluation.trial import Trial, bootstrap, medians, ours, published, ratios
from tests.benchmarks.allocation import against

WEEKLY = 7


def show(trial: Trial, beside: Metrics) -> None:
    one = trial.metrics
    figures = "".join(f"{getattr(one, name):>11.4f}" for name in FIVE)
    times = "".join(f"{value:>7.3f}" for value in ratios(one, beside).values())
    print(f"  {trial.name:<24}{trial.every:>5g} d{figures}{one.shipped:>9.2%}  ×{times}")


def targets(trials: dict[str, Trial], theirs: dict[float, list[Trial]]) -> None:
    """Each setting at its cadence, against proximity at the same."""
    parcels, default = trials["parcels"], trials["default"]
    found, filled = (ratios(trial.metrics, theirs[trial.every][1].metrics) for trial in (parcels, default))
    against("parcels: fill, of proximity's", found["fill"], 1.15, most=False)
    against("parcels: fill without zeros", found["fill_served"], 1.08, most=False)
    against("parcels: unit-miles", found["miles"], 0.45, most=True)
    against("parcels: holding", found["holding"], 0.55, most=True)
    against("parcels: shipments per donor", found["shipments"], 0.90, most=True)
    against("parcels: share of units shipped", parcels.metrics.shipped, 1, most=False)
    against("default: fill, of proximity's", filled["fill"], 2.4, most=False)
    against("default: unit-miles", filled["miles"], 0.55, most=True)
    against("default: holding", filled["holding"], 0.55, most=True)
    for number, other in enumerate(theirs[WEEKLY]):
        beaten = sum(trial.metrics.at_least_as_good(theirs[trial.every][number].metrics) for trial in trials.values())
        against(f"settings at least as good on all five as {other.name}", beaten, 1, most=False)


def drawn(dataset: Dataset, draws: int) -> None:
    """Parcels on draws: a setting can be tuned to one data set."""
    parcels = named("parcels")
    for beside in (WEEKLY, parcels.every):
        found = [*bootstrap(dataset, parcels.policy, every=parcels.every, seeds=range(draws), beside=beside)]
        middle = medians(found)
        print(f"\nParcels, median of {draws} draws, every {parcels.every:g} days, of proximity's every {beside:g} days")
        against("unit-miles", middle["miles"], 0.80, most=True)
        against("  the worst of them", max(one["miles"] for one in found), 1, most=True)
        against("holding", middle["holding"], 0.45, most=True)
        against("fill", middle["fill"], 1.10, most=False)
        against("  the worst of them", min(one["fill"] for one in found), 1, most=False)
        against("shipments per donor", middle["shipments"], 0.97, most=True)


def around(setting: EvaluationSetting) -> Iterator[EvaluationSetting]:
    """Neighbours of a setting, one number changed at a time."""
    policy = setting.policy
    for name, values in {
        "fill_weight": (0.5, 2),
        "shipment_units": (0.7, 1.4),
        "gift_reach_km": (0.7, 1.4),
        "gift_reach_km_per_day": (0.7, 1.4),
        "half_distance_km": (0.5, 2),
    }.items():
        for times in values if getattr(policy, name) else ():
            changed = replace(policy, **{name: getattr(policy, name) * times})
            yield EvaluationSetting(f"{name} × {times}", setting.name, changed, setting.every)


def run(*, draws: int = 3, search: bool = False, front: bool = False, official: bool = False) -> None:
    folder = bundled()
    if folder is None:
        print("The published data are not installed (ppe-match, requirements/dev.txt): nothing to replay.")
        return
    dataset = read(folder)
    settings = SETTINGS if front else [named("default"), named("parcels"), named("parcels-weekly")]
    theirs = {every: published(dataset, every=every) for every in sorted({WEEKLY, *(one.every for one in settings)})}
    print(f"\nThe published requests; load {os.getloadavg()[0]:.1f}")
    head = "".join(f"{name:>11}" for name in FIVE)
    print(f"  {'':<24}{'every':>7}{head}{'shipped':>9}   of proximity's at the same cadence, in the same order")
    found = {}
    for every, trials in theirs.items():
        for trial in trials:
            show(trial, trials[1].metrics)
        limits = bounds(dataset, every)
        most = f"fill above {limits.fill:.4f}, miles below {limits.miles:.1f}, holding below {limits.holding:.2f}"
        print(f"  no plan: {most}")
    for setting in settings:
        began = time.process_time()
        found[setting.name] = ours(dataset, setting, every=setting.every)
        show(found[setting.name], theirs[setting.every][1].metrics)
        print(f"  {'':<24}{time.process_time() - began:.0f} s of processor time")
    targets(found, theirs)
    for setting in [near for name in ("parcels", "default") for near in around(named(name))] if search else ():
        show(ours(dataset, setting, every=setting.every), theirs[setting.every][1].metrics)
    if draws:
        drawn(dataset, draws)
    if official:
        _official(dataset, found)


def _official(dataset: Dataset, found: dict[str, Trial]) -> None:
    """In the package itself: the same, to six digits."""
    from apps.evaluation.framework import adapted, official
    from apps.evaluation.replay import CurrentMatching

    folder = bundled()
    assert folder
    for name in ("parcels", "default"):
        setting = named(name)
        said = official(folder, adapted(dataset, CurrentMatching(dataset, setting.policy)), every=int(setting.every))
        apart = max(abs(value - 1) for value in ratios(said, found[name].metrics).values())
        against(f"{name}: the package's own evaluator differs by", apart, 0.000001, most=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.backtest", description=__doc__)
    parser.add_argument("--draws", type=int, default=10, help="with replacement, from the published requests (10)")
    parser.add_argument("--front", action="store_true", help="all settings")
    parser.add_argument("--search", action="store_true", help="also the neighbours of the two settings with targets")
    parser.add_argument("--official", action="store_true", help="also in the package itself; takes minutes")
    options = parser.parse_args()
    run(draws=options.draws, search=options.search, front=options.front, official=options.official)
