"""Our decision inside the published framework itself: its rounds, its books, its evaluator. Needs `ppe-match`.

The package is taken as it is. Its reader meets two ways of writing a time in one column, which pandas refuses since
version 2 unless a format is named. So the tables are read here and handed over.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # it ships no types

from apps.evaluation.dataset import DISTANCES, DONORS, LARGEST_GIFT, RECIPIENTS, Dataset
from apps.evaluation.metrics import Metrics
from apps.evaluation.replay import OpenRequests, Round, Strategy

_NAMES = {
    "fill rate": "fill",
    "fill rate exc zeros": "fill_served",
    "avg unit-miles": "miles",
    "avg holding time": "holding",
    "avg number of shipments": "shipments",
}


def adapted(dataset: Dataset, strategy: Strategy) -> Callable[[Any, Any, Any, Any], Any]:
    """A strategy of ours as the framework calls one: date, open offers, open requests and distances as tables."""
    donor, recipient, item = (
        {name: number for number, name in enumerate(names)}
        for names in (dataset.donors, dataset.recipients, dataset.items)
    )

    def decide(date: Any, offered: Any, wanted: Any, _miles: Any) -> Any:
        rows = []
        # Items that both sides have, in the order of names, as our own replay goes through them.
        for name in sorted(set(offered.ppe) & set(wanted.ppe)):
            sides = (
                _open(offered[offered.ppe == name], "don_id", donor),
                _open(wanted[wanted.ppe == name], "rec_id", recipient),
            )
            one = Round(0, _moment(date), item[name], *sides)
            rows += [(dataset.donors[a], dataset.recipients[b], name, units) for a, b, units in strategy(one)]
        return pd.DataFrame(rows, columns=["don_id", "rec_id", "ppe", "qty"])

    return decide


def _open(table: Any, party: str, number: dict[str, int]) -> OpenRequests:
    parties = np.array([number[name] for name in table[party]], dtype=np.int64)
    # Our strategies expect the parties in the order of their numbers.
    order = np.argsort(parties)
    since = np.array([_moment(date) for date in table["date"]], dtype=np.int64)
    return OpenRequests(parties[order], since[order], table["qty"].to_numpy(dtype=np.int64)[order])


def _moment(date: Any) -> int:
    """Microseconds since 1970."""
    return int(pd.Timestamp(date).value // 1000)


def official(
    folder: Path, strategy: Callable[[Any, Any, Any, Any], Any], *, every: int = 7, largest: int = LARGEST_GIFT
) -> Metrics:
    """What the package's own `TestingFramework` and evaluator say of a strategy. Takes minutes."""
    from ppe_match import TestingFramework  # type: ignore[import-untyped]  # it ships no types

    # Without its constructor, which reads the tables itself and fails (see the module's docstring).
    framework = TestingFramework.__new__(TestingFramework)
    framework.all_donors, framework.all_recipients = (
        _with_times(pd.read_csv(folder / name, index_col=0)) for name in (DONORS, RECIPIENTS)
    )
    framework.distance_mat = pd.read_csv(folder / DISTANCES)
    framework.all_granular_decisions = pd.DataFrame(
        columns=["don_id", "rec_id", "ppe", "date", "qty", "distance", "holding_time"]
    )
    framework.strategy, framework.interval, framework.max_donation_qty = strategy, every, largest
    framework.writeFiles = False
    offered = framework.all_donors.qty[framework.all_donors.qty <= largest].sum()
    logging.disable(logging.INFO)  # it tells of every round and every table
    try:
        framework.run()
    finally:
        logging.disable(logging.NOTSET)
    found = dict(zip(framework.metrics["metric_name"], framework.metrics["value"], strict=True))
    units = int(framework.all_granular_decisions.qty.sum())
    values = {ours: float(found[theirs]) for theirs, ours in _NAMES.items()}
    return Metrics(**values, units=units, shipped=units / float(offered))


def _with_times(table: Any) -> Any:
    table["date"] = pd.to_datetime(table["date"], format="ISO8601")
    return table
