"""Settings side by side with the published strategies, on the data as they are and on draws from them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from apps.evaluation.dataset import Dataset
from apps.evaluation.metrics import FIVE, Metrics, measure
from apps.evaluation.presets import EvaluationSetting
from apps.evaluation.published import first_come, proximity
from apps.evaluation.replay import CurrentMatching, replay
from apps.policy.values import PolicyValues

FIRST_COME = "first come (published)"
PROXIMITY = "proximity (published)"
Report = Callable[[float], None]


@dataclass(frozen=True)
class Trial:
    """What came of a setting, or of a published strategy, with rounds so many days apart."""

    name: str
    why: str
    every: float
    metrics: Metrics


def published(dataset: Dataset, *, every: float) -> list[Trial]:
    """The two strategies of the package."""
    return [
        Trial(
            FIRST_COME,
            "the first donor by name to the first recipient by name",
            every,
            measure(dataset, replay(dataset, first_come, every=every)),
        ),
        Trial(
            PROXIMITY,
            "each donor to the nearest recipient",
            every,
            measure(dataset, replay(dataset, proximity(dataset), every=every)),
        ),
    ]


def ours(dataset: Dataset, setting: EvaluationSetting, *, every: float, report: Report = lambda _share: None) -> Trial:
    sent = replay(dataset, CurrentMatching(dataset, setting.policy), every=every, report=report)
    return Trial(setting.name, setting.why, every, measure(dataset, sent))


def ratios(metrics: Metrics, other: Metrics) -> dict[str, float]:
    """Each of the five metrics as a multiple of another's; NaN where the other is 0."""
    theirs = {name: getattr(other, name) for name in FIVE}
    return {name: getattr(metrics, name) / theirs[name] if theirs[name] else math.nan for name in FIVE}


def draw(dataset: Dataset, seed: int) -> Dataset:
    """A data set of as many donors and recipients, drawn with replacement, each with all its requests."""
    # The bootstrap of B. Efron (Annals of Statistics 7, 1979). Parties are drawn whole, because requests of one party
    # are not independent.
    chance = np.random.default_rng(seed)
    donors, recipients = np.unique(dataset.offers.party), np.unique(dataset.requests.party)
    return dataset.drawn(chance.choice(donors, len(donors)), chance.choice(recipients, len(recipients)))


def bootstrap(
    dataset: Dataset, policy: PolicyValues, *, every: float, seeds: range, beside: float = 7
) -> Iterator[dict[str, float]]:
    """For each draw, the five as multiples of what proximity reaches on it in rounds `beside` days apart, and the share
    of units that was shipped.
    """
    for seed in seeds:
        drawn = draw(dataset, seed)
        # Compared with proximity on the same draw, so that a draw that is easy for all does not count as a success.
        theirs = measure(drawn, replay(drawn, proximity(drawn), every=beside))
        found = measure(drawn, replay(drawn, CurrentMatching(drawn, policy), every=every))
        yield {**ratios(found, theirs), "shipped": found.shipped}


def medians(draws: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in draws) for name in draws[0]}
