"""Labelled pairs of organisations: a published board with the bodies that stand on it twice, and disturbed copies.

The board gives no telephone numbers and no registration numbers, so both are made up here, from a seed. A copy is what
a second person would enter for the same body. A sibling is another body that looks much like it: these are the hard
ones.
"""

import csv
import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from apps.catalogue.identifiers import USCC_ALPHABET, uscc_check_character
from apps.catalogue.regions import Gazetteer, GazetteerEntry, ancestors, stem, tidy

COPIES: Final = 3
_DEPARTMENTS: Final = ("设备科", "药械科", "（物资供应科）", "(总务处)", "医学装备部")
_ORDINALS: Final = "一二三四五六"
_KIND: Final = re.compile(r"人民医院|中医医院|中医院|中心医院|妇幼保健院|红十字会|慈善总会|医院")
_OTHERS: Final = ("人民医院", "中医医院", "妇幼保健院", "中心医院", "红十字会", "慈善总会", "疾病预防控制中心")


@dataclass(frozen=True)
class Listing:
    """An organisation as somebody entered it. Listings of one `body` are duplicates."""

    body: int
    name: str
    kind: str
    region: str
    address: str
    phone: str
    code: str


@dataclass(frozen=True)
class LabelledBoard:
    """The board's rows as listings, the pairs on it that were labelled by hand, and what is derived from them."""

    listings: list[Listing]
    labelled: list[tuple[int, int, str]]  # indices of two listings, and the label

    def parts(self) -> set[frozenset[int]]:
        """Pairs of bodies that may be one or two: a hospital and its department. They count neither way."""
        return {
            frozenset({self.listings[one].body, self.listings[other].body})
            for one, other, label in self.labelled
            if label == "part"
        }


def read_listings(folder: Path, places: Iterable[tuple[str, str, str]], *, seed: int) -> LabelledBoard:
    """The listings of a board, with made-up telephone and registration numbers. `places` are (code, name, path)."""
    chance = random.Random(seed)  # noqa: S311  a test set is not a secret
    gazetteer = Gazetteer(GazetteerEntry(*place) for place in places)
    rows = [
        (row, kind)
        for file, kind in (("hospitals", "hospital"), ("factories", "supplier"))
        for row in json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))
    ]
    first_of = {"hospitals": 0, "factories": sum(kind == "hospital" for _row, kind in rows)}
    with (folder / "duplicates.csv").open(encoding="utf-8") as file:
        labelled = [
            (
                first_of[row["file"]] + int(row["row"]) - 1,
                first_of[row["file"]] + int(row["other_row"]) - 1,
                row["label"],
            )
            for row in csv.DictReader(file)
        ]
    body = list(range(len(rows)))
    for one, other, label in labelled:
        if label == "same":
            first, second = sorted((body[one], body[other]))
            body = [first if each == second else each for each in body]
    facts = {each: (_phone(chance), _code(chance) if chance.random() < 0.7 else "") for each in sorted(set(body))}
    listings = [
        # Each row of the board came without numbers, so those of the labelled pairs stay without.
        _listing(row, kind, body[at], gazetteer, facts[body[at]] if body.count(body[at]) == 1 else ("", ""))
        for at, (row, kind) in enumerate(rows)
    ]
    return LabelledBoard(listings, labelled)


def _listing(row: Mapping[str, Any], kind: str, body: int, gazetteer: Gazetteer, facts: tuple[str, str]) -> Listing:
    found = gazetteer.resolve(
        province=row.get("province"), city=row.get("city"), district=row.get("district"), address=row.get("address")
    )
    phone, code = facts
    name = " ".join(row["name"].split())
    return Listing(body, name, kind, found.code or "CN", " ".join((row.get("address") or "").split()), phone, code)


def disturbed(board: LabelledBoard, names: Mapping[str, str], *, seed: int) -> list[Listing]:
    """The board's listings, `COPIES` disturbed ones of each, and one sibling of each. `names` are those of regions."""
    from opencc import OpenCC

    chance = random.Random(seed)  # noqa: S311  a test set is not a secret
    traditional = OpenCC("s2t")
    made = list(board.listings)
    taken = {_bare(listing.name) for listing in board.listings}
    body = len(board.listings)
    for listing in board.listings:
        made += [_copy(listing, names, chance, traditional) for _copy_number in range(COPIES)]
        sibling = _sibling(listing, body, chance)
        # Not one that is on the board: 第一 of a city has a real 第二 there.
        if sibling and _bare(sibling.name) not in taken:
            taken.add(_bare(sibling.name))
            made.append(sibling)
            body += 1
    return made


def _bare(name: str) -> str:
    return re.sub(r"\(.*?\)", "", tidy(name))


def _copy(listing: Listing, names: Mapping[str, str], chance: random.Random, traditional: Any) -> Listing:
    """The same body as another person would enter it: one to three slips or habits of writing."""
    ways = [_other_places, _other_suffix, _other_brackets, _missing_character, _coarser_region, _other_address]
    phone, has_code = _as_written(listing.phone, chance), chance.random() < 0.4
    copy = replace(listing, phone=phone, code=listing.code if has_code else "")
    for way in chance.sample(ways, chance.choice((1, 1, 2, 2, 3))):
        copy = way(copy, names, chance)
    if chance.random() < 0.2:
        copy = replace(copy, name=traditional.convert(copy.name), address=traditional.convert(copy.address))
    return copy


def _as_written(phone: str, chance: random.Random) -> str:
    """Another person's phone in a quarter of the cases, a digit mistyped in one of ten, else the same number."""
    if not phone or (draw := chance.random()) < 0.25:
        return _phone(chance) if chance.random() < 0.5 else ""
    if draw < 0.35:
        at = chance.randrange(len(phone) - 4, len(phone))
        return phone[:at] + chance.choice("0123456789") + phone[at + 1 :]
    if draw < 0.6:
        return f"+86 {phone[:3]} {phone[3:7]} {phone[7:]}"
    return phone


def _other_places(listing: Listing, names: Mapping[str, str], chance: random.Random) -> Listing:
    """With more of its places before the name, or with fewer, or without their classes of area."""
    above = [names[code] for code in (*ancestors(listing.region)[1:], listing.region) if code in names]
    rest = tidy(listing.name)
    named: list[str] = []
    for place in above:
        for text in (place, stem(place)):
            if rest.startswith(text) and len(rest) - len(text) > 2:
                rest, named = rest.removeprefix(text), [*named, place]
                break
    if not above:
        return listing
    if not named:
        return replace(listing, name="".join(above[-2:-1]) + rest)
    match chance.choice(("longer", "last", "short")):
        case "longer":
            return replace(listing, name="".join(above[: above.index(named[-1]) + 1]) + rest)
        case "last":
            return replace(listing, name=named[-1] + rest)
        case _:
            return replace(listing, name="".join([*named[:-1], stem(named[-1])]) + rest)


def _other_suffix(listing: Listing, _names: Mapping[str, str], chance: random.Random) -> Listing:
    name = listing.name
    if name.endswith("有限公司"):
        return replace(listing, name=name.replace("有限公司", chance.choice(("", "有限责任公司", "公司"))))
    if "中医医院" in name or "中医院" in name:
        return replace(
            listing,
            name=name.replace("中医医院", "中医院") if "中医医院" in name else name.replace("中医院", "中医医院"),
        )
    if name.endswith("疾病预防控制中心"):
        return replace(listing, name=name.replace("疾病预防控制中心", "疾控中心"))
    if name.endswith("医院"):
        return replace(
            listing, name=name.removesuffix("医院") if chance.random() < 0.3 else name + chance.choice(_DEPARTMENTS)
        )
    return listing


def _other_brackets(listing: Listing, _names: Mapping[str, str], chance: random.Random) -> Listing:
    table = str.maketrans("（）", "()") if "（" in listing.name else str.maketrans("()", "（）")
    name = listing.name.translate(table)
    return replace(
        listing, name=name if name != listing.name else name + chance.choice(("（本部）", "(总院)", "（新冠定点）"))
    )


def _missing_character(listing: Listing, _names: Mapping[str, str], chance: random.Random) -> Listing:
    at = chance.randrange(len(listing.name))
    return replace(listing, name=listing.name[:at] + listing.name[at + 1 :]) if len(listing.name) > 4 else listing


def _coarser_region(listing: Listing, names: Mapping[str, str], _chance: random.Random) -> Listing:
    """Only the city is chosen, not the district."""
    above = ancestors(listing.region)
    return replace(listing, region=above[-1]) if len(above) > 2 and above[-1] in names else listing


def _other_address(listing: Listing, names: Mapping[str, str], chance: random.Random) -> Listing:
    address = listing.address
    for code in ancestors(listing.region)[1:]:
        address = address.removeprefix(names.get(code, "-")).removeprefix(stem(names.get(code, "-")))
    return replace(
        listing, address=chance.choice(("", address, address + listing.name, address.replace("号", "号院内")))
    )


def _sibling(listing: Listing, body: int, chance: random.Random) -> Listing | None:
    """Another body in the same town: the next number, or another kind; at times at the same address or telephone."""
    if ordinal := re.search(f"第([{_ORDINALS}])", listing.name):
        other = chance.choice([one for one in _ORDINALS if one != ordinal[1]])
        name = listing.name.replace(ordinal[0], f"第{other}", 1)
    elif kind := _KIND.search(listing.name):
        name = listing.name[: kind.start()] + chance.choice([one for one in _OTHERS if one[:2] != kind[0][:2]])
    else:
        return None
    street = re.sub(r"\d+(?=号)", lambda match: str(int(match[0]) + chance.choice((2, 15, 100))), listing.address)
    return Listing(
        body,
        name,
        listing.kind,
        listing.region,
        listing.address if chance.random() < 0.1 else street,
        listing.phone if chance.random() < 0.05 else _phone(chance),
        _code(chance) if chance.random() < 0.5 else "",
    )


def _phone(chance: random.Random) -> str:
    return f"1{chance.choice('3578')}{chance.randrange(10**9):09}"


def _code(chance: random.Random) -> str:
    first = "12" + f"42{chance.randrange(10**4):04}" + "".join(chance.choice(USCC_ALPHABET) for _at in range(9))
    return first + uscc_check_character(first)
