"""What is read of the three files, and what is said of files that cannot be replayed."""

from pathlib import Path

import numpy as np
import pytest

from apps.evaluation.dataset import DatasetFileError, read
from tests.evaluation.small import dataset, write


def test_requests_are_read_with_their_times_and_distances(tmp_path: Path) -> None:
    found = read(write(tmp_path))

    assert (found.donors, found.recipients, found.items) == (["b"], ["x", "y"], ["gowns", "masks"])
    assert found.offers.quantity.tolist() == [20]
    assert found.requests.item.tolist() == [0, 1]
    assert found.requests.at.tolist() == [1585758420_000000, 1585844820_000000]
    assert found.miles[0, 0] == 10.5


def test_what_is_too_large_to_be_true_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert len(read(write(tmp_path)).offers) == 1
    assert len(read(tmp_path, largest=2000).offers) == 2


HEAD = ",don_id,date,ppe,qty\n0,b,2020-04-02 10:00:00+00:00,masks,20\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"donors": ",don_id,date,ppe\n1,b,2020-04-02,masks\n"}, r"anon_donors.csv, column qty: has no such column"),
        ({"donors": f"{HEAD}1,b,2020-04-02,masks,many\n"}, r"anon_donors.csv, row 3, column qty: .*not 'many'"),
        ({"donors": f"{HEAD}1,b,2020-04-02,masks,2.5\n"}, r"anon_donors.csv, row 3, column qty: a whole number"),
        ({"donors": f"{HEAD}1,b,2020-04-02,masks,-2\n"}, r"anon_donors.csv, row 3, column qty"),
        ({"donors": f"{HEAD}1,b,yesterday,masks,2\n"}, r"anon_donors.csv, row 3, column date: .*not 'yesterday'"),
        ({"donors": f"{HEAD}1,,2020-04-02,masks,2\n"}, r"anon_donors.csv, row 3, column don_id: a name is needed"),
        ({"recipients": ",rec_id,date,ppe,qty\n1,x,2020-04-02,,2\n"}, r"anon_recipients.csv, row 2, column ppe"),
        ({"distances": "don_id,rec_id,distance\nb,x,far\n"}, r"anon_distance_matrix.csv, row 2, column distance"),
        ({"distances": "don_id,rec_id,distance\nb,y,3\n"}, r"the distance of b and x, who share an item, is missing"),
        ({"donors": ",don_id,date,ppe,qty\n1,b,2020-04-02,masks,2000\n"}, r"anon_donors.csv: holds no request"),
        ({"donors": " "}, r"anon_donors.csv"),
    ],
)
def test_a_bad_file_is_named_with_its_row_and_column(tmp_path: Path, files: dict[str, str], said: str) -> None:
    write(tmp_path, **files)
    with pytest.raises(DatasetFileError, match=said):
        read(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileError, match=r"anon_donors.csv: is not in"):
        read(tmp_path)


def test_a_draw_takes_parties_with_all_requests_and_twice_is_two() -> None:
    whole = dataset(
        [(0, 0, 1, 5), (1, 0, 2, 7), (0, 1, 3, 9)],
        [(0, 0, 1, 4), (1, 0, 0, 6)],
        [[10, 20], [30, 40]],
    )

    drawn = whole.drawn(np.array([0, 0]), np.array([1, 0]))

    assert drawn.offers.party.tolist() == [0, 1, 0, 1]
    assert drawn.offers.quantity.tolist() == [5, 5, 9, 9]
    assert drawn.requests.party.tolist() == [0, 1]
    assert drawn.requests.quantity.tolist() == [6, 4]
    assert drawn.miles.tolist() == [[20, 10], [20, 10]]
    assert len(set(drawn.donors)) == 2
