"""Published requests: who offered and who asked for what, when, and the miles between them. Read from three files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]  # it ships no types

from apps.matching.allocation.groups import Floats, Ints

DONORS: Final = "anon_donors.csv"
RECIPIENTS: Final = "anon_recipients.csv"
DISTANCES: Final = "anon_distance_matrix.csv"
# Units. The published framework treats larger donations as typing errors, and leaves them out.
LARGEST_GIFT: Final = 1000
DAY: Final = 86_400_000_000  # microseconds


class DatasetFileError(ValueError):
    """A file that cannot be replayed. The message names the file, the row and the column."""

    def __init__(self, file: str, what: str, *, row: int | None = None, column: str | None = None) -> None:
        self.file, self.row, self.column = file, row, column
        where = [file, *([f"row {row}"] if row is not None else []), *([f"column {column}"] if column else [])]
        super().__init__(f"{', '.join(where)}: {what}")


@dataclass(frozen=True)
class Requests:
    """All offers, or all requests, as parallel arrays in the order of time. Each is of one party for one item."""

    party: Ints  # numbers of donors, or of recipients
    item: Ints
    at: Ints  # microseconds since 1970, UTC
    quantity: Ints

    def __len__(self) -> int:
        return len(self.party)

    def only(self, chosen: Ints | npt.NDArray[np.bool_]) -> "Requests":
        return Requests(self.party[chosen], self.item[chosen], self.at[chosen], self.quantity[chosen])


@dataclass(frozen=True)
class Dataset:
    """Parties and items are numbered in the order of their names."""

    donors: Sequence[str]
    recipients: Sequence[str]
    items: Sequence[str]
    offers: Requests
    requests: Requests
    miles: Floats  # donors × recipients; NaN where they have no item in common

    def drawn(self, donors: Ints, recipients: Ints) -> "Dataset":
        """The data set of these parties only, each with all its offers or requests. A party drawn twice becomes two."""
        return replace(
            self,
            donors=[f"{self.donors[party]}-{index}" for index, party in enumerate(donors.tolist())],
            recipients=[f"{self.recipients[party]}-{index}" for index, party in enumerate(recipients.tolist())],
            offers=_drawn(self.offers, donors),
            requests=_drawn(self.requests, recipients),
            miles=self.miles[np.ix_(donors, recipients)],
        )


def _drawn(requests: Requests, parties: Ints) -> Requests:
    # Sorted by party, the requests of one party are a slice. The slices are laid end to end, then sorted by time again.
    order = np.argsort(requests.party, kind="stable")
    first = np.searchsorted(requests.party[order], parties)
    count = np.searchsorted(requests.party[order], parties, side="right") - first
    party = np.repeat(np.arange(len(parties)), count)
    within = np.arange(len(party)) - np.repeat(np.cumsum(count) - count, count)
    rows = order[np.repeat(first, count) + within]
    drawn = replace(requests.only(rows), party=party)
    return drawn.only(np.argsort(drawn.at, kind="stable"))


def bundled() -> Path | None:
    """The folder in which the package `ppe-match` keeps its data; None when it is not installed."""
    from importlib.util import find_spec

    found = find_spec("ppe_match")
    return Path(found.origin).parent / "data" if found and found.origin else None


def read(folder: Path, *, largest: int = LARGEST_GIFT) -> Dataset:
    """The data set in a folder, without offers of more than `largest` units. Raises `DatasetFileError`."""
    offered = _requests(folder / DONORS, "don_id")
    asked = _requests(folder / RECIPIENTS, "rec_id")
    # Before parties are numbered: a donor whose only offer is left out is not a donor.
    offered = offered[offered["qty"] <= largest]
    if not len(offered) or not len(asked):
        raise DatasetFileError(RECIPIENTS if len(offered) else DONORS, "holds no request that can be replayed")
    donors, recipients, items = (
        sorted(set(offered["don_id"])),
        sorted(set(asked["rec_id"])),
        sorted(set(offered["ppe"]) | set(asked["ppe"])),
    )
    offers, requests = _numbered(offered, "don_id", donors, items), _numbered(asked, "rec_id", recipients, items)
    miles = _miles(folder / DISTANCES, donors, recipients)
    _check_measured(miles, offers, requests, donors, recipients, len(items))
    return Dataset(donors, recipients, items, offers, requests, miles)


def _table(path: Path, columns: Sequence[str], **types: Any) -> Any:
    try:
        # The header alone first, so that a wrong file is named by its missing column and not by a parser's words.
        header = pd.read_csv(path, nrows=0, encoding="utf-8").columns
        missing = [column for column in columns if column not in header]
        if missing:
            raise DatasetFileError(
                path.name, f"has no such column; it has {', '.join(map(str, header))}", column=missing[0]
            )
        # `keep_default_na=False`: a party called "NA" is a name and not a missing value.
        return pd.read_csv(path, usecols=list(columns), encoding="utf-8", keep_default_na=False, **types)
    except FileNotFoundError as error:
        raise DatasetFileError(path.name, f"is not in {path.parent}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DatasetFileError(path.name, f"is no CSV in UTF-8: {error}") from error


def _refuse(path: Path, bad: Any, given: Any, column: str, what: str) -> None:
    """Name the first bad cell. The header is row 1."""
    rows = np.flatnonzero(bad)
    if len(rows):
        row = int(rows[0])
        raise DatasetFileError(path.name, f"{what}, not {str(given.iloc[row])!r}", row=row + 2, column=column)


def _requests(path: Path, party: str) -> Any:
    table = _table(path, [party, "date", "ppe", "qty"], dtype=str)
    for column in (party, "ppe"):
        _refuse(path, table[column].str.strip() == "", table[column], column, "a name is needed")
    # `coerce` turns what cannot be read into NaT or NaN, so that `_refuse` can name the row.
    at = pd.to_datetime(table["date"], format="ISO8601", utc=True, errors="coerce")
    _refuse(path, at.isna(), table["date"], "date", "a date is needed, as 2020-04-02 16:27:00+00:00")
    quantity = pd.to_numeric(table["qty"], errors="coerce").to_numpy(dtype=np.float64)
    # Below 2 ** 53 every whole number is exact as a double.
    whole = (quantity >= 0) & (quantity == np.floor(quantity)) & (quantity < 1 << 53)
    _refuse(path, ~whole, table["qty"], "qty", "a whole number of units is needed")
    table["at"] = at.dt.as_unit("us").astype("int64").to_numpy()
    table["qty"] = quantity.astype(np.int64)
    # Stable, so that requests of the same moment stay in the order of the file.
    return table[table["qty"] > 0].sort_values("at", kind="stable")


def _numbered(table: Any, party: str, parties: Sequence[str], items: Sequence[str]) -> Requests:
    return Requests(
        np.searchsorted(np.array(parties), table[party].to_numpy(dtype=str)).astype(np.int64),
        np.searchsorted(np.array(items), table["ppe"].to_numpy(dtype=str)).astype(np.int64),
        table["at"].to_numpy(dtype=np.int64),
        table["qty"].to_numpy(dtype=np.int64),
    )


def _miles(path: Path, donors: Sequence[str], recipients: Sequence[str]) -> Floats:
    table = _table(path, ["don_id", "rec_id", "distance"], dtype={"don_id": "category", "rec_id": "category"})
    far = pd.to_numeric(table["distance"], errors="coerce").to_numpy(dtype=np.float64)
    _refuse(path, ~((far >= 0) & np.isfinite(far)), table["distance"], "distance", "miles are needed")
    # A table of donors × recipients: these data have some hundreds of each, so it is small.
    miles = np.full((len(donors), len(recipients)), np.nan)
    row, column = _codes(table["don_id"], donors), _codes(table["rec_id"], recipients)
    known = (row >= 0) & (column >= 0)
    miles[row[known], column[known]] = far[known]
    return miles


def _codes(names: Any, known: Sequence[str]) -> Ints:
    """The number of each, -1 for parties without a request."""
    number = {name: index for index, name in enumerate(known)}
    # Categories are few and rows many: each name is looked up once.
    of_kind = np.array([number.get(str(name), -1) for name in names.cat.categories], dtype=np.int64)
    codes: Ints = of_kind[names.cat.codes.to_numpy()]
    return codes


def _check_measured(
    miles: Floats, offers: Requests, requests: Requests, donors: Sequence[str], recipients: Sequence[str], items: int
) -> None:
    """Refuse data in which a donor and a recipient share an item and have no distance: every metric needs it."""
    for item in range(items):
        givers = np.unique(offers.party[offers.item == item])
        takers = np.unique(requests.party[requests.item == item])
        unknown = np.argwhere(np.isnan(miles[np.ix_(givers, takers)]))
        if len(unknown):
            giver, taker = donors[givers[unknown[0][0]]], recipients[takers[unknown[0][1]]]
            raise DatasetFileError(DISTANCES, f"the distance of {giver} and {taker}, who share an item, is missing")
