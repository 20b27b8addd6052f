"""`manage.py backtest`, with files small enough to reckon by hand."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.evaluation.presets import SETTINGS, named
from tests.evaluation.small import write


def said(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("backtest", *arguments, stdout=out, **options)
    return out.getvalue()


def test_it_prints_the_five_metrics_beside_the_published_strategies(tmp_path: Path) -> None:
    lines = said("--data", str(write(tmp_path))).splitlines()

    row = next(line for line in lines if line.startswith("default"))
    # 20 of 50 masks, nothing of the gowns; 10.5 miles; less than a day; one parcel.
    assert row.split() == ["default", "7", "d", "0.2000", "0.400", "10.5", "0.00", "1.00", "100.00%"]
    assert any(line.startswith("first come (published)") for line in lines)
    assert any(
        "at least as good on all five as first come (published) and proximity (published)" in line for line in lines
    )
    assert lines[-1].split()[-5:] == ["0.2000", "1.000", "10.5", "0.00", "1.00"]


def test_any_policy_can_be_replayed_and_drawn(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "draft.json").write_text('{"gift_reach_km": 5, "gift_reach_km_per_day": 0}', encoding="utf-8")

    found = json.loads(
        said(
            "--data",
            str(tmp_path),
            "--policy",
            str(tmp_path / "draft.json"),
            "--json",
            "--svg",
            str(tmp_path / "a.svg"),
        )
    )

    assert [one["name"] for one in found["trials"]][2:] == ["draft"]
    assert found["trials"][2]["metrics"]["units"] == 0  # 17 km are too far for it
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")


def test_draws_are_seeded(tmp_path: Path) -> None:
    write(tmp_path)

    def drawn(seed: int) -> Any:
        return json.loads(said("--data", str(tmp_path), "--bootstrap", "2", "--seed", str(seed), "--json"))["bootstrap"]

    assert len(drawn(1)["default"]) == 2
    assert drawn(1) == drawn(1)


@pytest.mark.parametrize(
    ("arguments", "every"),
    [
        (["--setting", "parcels"], named("parcels").every),
        (["--setting", "parcels", "--every", "2"], 2),
        (["--setting", "parcels", "--setting", "default"], 7),
        ([], 7),
    ],
)
def test_a_single_setting_is_replayed_at_its_own_cadence(tmp_path: Path, arguments: list[str], every: float) -> None:
    found = json.loads(said("--data", str(write(tmp_path)), "--json", *arguments))

    assert named("parcels").every not in {2, 7}
    assert {one["every"] for one in found["trials"]} == {every}


def test_it_names_its_settings() -> None:
    assert [line.split()[0] for line in said("--list").splitlines()] == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--setting", "best"], "There is no setting 'best'"),
        (["--policy", "/nowhere.json"], "nowhere.json"),
        (["--data", "/nowhere"], "anon_donors.csv: is not in /nowhere"),
        (["--every", "0"], "between 0.01 and 365 days"),
    ],
)
def test_what_it_cannot_do_it_says_in_a_sentence(arguments: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        said(*arguments)


def test_a_policy_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "draft.json").write_text('{"fill_weight": -1}', encoding="utf-8")
    with pytest.raises(CommandError, match=r"draft.json: .*1,?000"):
        said("--data", str(write(tmp_path)), "--policy", str(tmp_path / "draft.json"))
