"""On a part of the published data, our arrays say what the package itself says. Skipped where it is not installed."""

from pathlib import Path

import numpy as np
import pytest

from apps.evaluation.dataset import DISTANCES, DONORS, RECIPIENTS, Dataset, bundled, read
from apps.evaluation.metrics import FIVE, Metrics, measure
from apps.evaluation.published import first_come, proximity
from apps.evaluation.replay import CurrentMatching, replay
from apps.policy.values import PolicyValues

pytest.importorskip("ppe_match")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few rare items with all their donors, and the first hundred of who asked for them."""
    import pandas as pd  # type: ignore[import-untyped]  # it ships no types

    source, folder = bundled(), tmp_path_factory.mktemp("part")
    assert source
    items = {"coveralls", "safetyGoggles", "printedFaceShields"}
    donors = pd.read_csv(source / DONORS, index_col=0)
    donors = donors[donors.ppe.isin(items)]
    recipients = pd.read_csv(source / RECIPIENTS, index_col=0)
    recipients = recipients[recipients.ppe.isin(items)].head(100)
    miles = pd.read_csv(source / DISTANCES)
    miles = miles[miles.don_id.isin(donors.don_id) & miles.rec_id.isin(recipients.rec_id)]
    donors.to_csv(folder / DONORS)
    recipients.to_csv(folder / RECIPIENTS)
    miles.to_csv(folder / DISTANCES, index=False)
    return folder


@pytest.fixture(scope="module")
def dataset(part: Path) -> Dataset:
    return read(part)


def close(ours: Metrics, theirs: Metrics) -> bool:
    assert [getattr(ours, name) for name in FIVE] == pytest.approx([getattr(theirs, name) for name in FIVE], rel=1e-6)
    return ours.units == theirs.units


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_all_strategies_measure_the_same_in_the_package_itself(part: Path, dataset: Dataset) -> None:
    from ppe_match import strategies  # type: ignore[import-untyped]  # it ships no types

    from apps.evaluation.framework import adapted, official

    policy = PolicyValues()

    assert close(
        measure(dataset, replay(dataset, proximity(dataset))), official(part, strategies.proximity_match_strategy)
    )
    assert close(measure(dataset, replay(dataset, first_come)), official(part, strategies.FCFM_strategy))
    assert close(
        measure(dataset, replay(dataset, CurrentMatching(dataset, policy))),
        official(part, adapted(dataset, CurrentMatching(dataset, policy))),
    )
    assert np.isfinite(dataset.miles).any()
