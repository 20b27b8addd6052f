"""How well duplicates are found, on a published board: the figures in docs/duplicates.md."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from apps.accounts.models import Organisation
from apps.evaluation.duplicates import Measurement, measure

pytestmark = [pytest.mark.django_db, pytest.mark.long]

BOARD = Path(__file__).parents[1] / "data" / "wuhan2020"


@pytest.fixture(scope="module")
def measured(reference_data: None, django_db_blocker: object) -> Measurement:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]  # pytest-django's, which types a fixture oddly
        return measure(BOARD)


def test_pairs_in_cities_held_out_are_found_well(measured: Measurement) -> None:
    assert measured.held_out.right + measured.held_out.missed > 900
    assert measured.held_out.precision >= 0.95
    assert measured.held_out.recall >= 0.9


def test_the_eight_hospitals_that_stand_twice_are_found(measured: Measurement) -> None:
    """One further pair needs to be known: the second row is the hospital's short name, and has no address."""
    assert measured.missed_on_board == ["华中科技大学同济医学院附属协和医院 = 武汉协和医院"]
    assert (measured.board.right, measured.board.wrong) == (11, 0)


@pytest.mark.usefixtures("reference_data")
def test_the_command_prints_the_figures_and_leaves_nothing_behind() -> None:
    out = StringIO()
    call_command("measure_duplicates", "--fit", stdout=out)
    assert "held out" in out.getvalue()
    assert "log2(m / u)" in out.getvalue()
    assert not Organisation.objects.exists()
