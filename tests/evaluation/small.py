"""Data sets small enough to reckon by hand, and as files."""

from pathlib import Path

import numpy as np

from apps.evaluation.dataset import DAY, DISTANCES, DONORS, RECIPIENTS, Dataset, Requests

Line = tuple[int, int, float, int]  # party, item, day, units


def requests(lines: list[Line]) -> Requests:
    ordered = sorted(lines, key=lambda line: line[2])
    party, item, day, units = np.array(ordered, dtype=np.float64).reshape(-1, 4).T
    return Requests(party.astype(np.int64), item.astype(np.int64), (day * DAY).astype(np.int64), units.astype(np.int64))


def dataset(offers: list[Line], asked: list[Line], miles: list[list[float]]) -> Dataset:
    items = 1 + max(line[1] for line in [*offers, *asked])
    return Dataset(
        donors=[f"don{number}" for number in range(len(miles))],
        recipients=[f"rec{number}" for number in range(len(miles[0]))],
        items=[f"item{number}" for number in range(items)],
        offers=requests(offers),
        requests=requests(asked),
        miles=np.array(miles, dtype=np.float64),
    )


def write(folder: Path, *, donors: str = "", recipients: str = "", distances: str = "") -> Path:
    """Three files that can be replayed, with what is given in place of one."""
    (folder / DONORS).write_text(
        donors
        or ",don_id,date,ppe,qty\n"
        "7,b,2020-04-02 10:00:00+00:00,masks,20.0\n"
        "8,a,2020-04-03 10:00:00.5+00:00,gowns,2000\n",
        encoding="utf-8",
    )
    (folder / RECIPIENTS).write_text(
        recipients
        or ",rec_id,date,ppe,qty\n1,x,2020-04-02 16:27:00+00:00,masks,50.0\n2,y,2020-04-01 16:27:00+00:00,gowns,5\n",
        encoding="utf-8",
    )
    (folder / DISTANCES).write_text(distances or "don_id,rec_id,distance\nb,x,10.5\na,y,3\nz,x,1\n", encoding="utf-8")
    return folder
