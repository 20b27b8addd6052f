"""Who is in the demo's emergency, and what is on offer in it: read from `data/`. All names are invented."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from apps.accounts.models import IdentifierKind, Language
from apps.accounts.permissions import OrganisationKind
from apps.catalogue.identifiers import uscc_check_character

DATA: Final = Path(__file__).parent / "data"
PASSWORD: Final = "masks-for-wuhan"  # noqa: S105  printed on purpose, refused in production
DOMAIN: Final = "demo.cosmomatch.example"

T = TypeVar("T")


class CastError(ValueError):
    """An entry of `data/` that the demo cannot use. The message says which entry, and why."""


@dataclass(frozen=True, kw_only=True)
class CastMember:
    """An organisation and the person who logs in for it."""

    login: str
    what: str
    """What this user is, for the list of log-ins."""
    person: str
    organisation: str
    kind: str
    region: str
    sector: str = "91"
    """The first two characters of the registration number (GB 32100-2015); 91 is an enterprise."""
    address: str = ""
    phone: str = ""
    language: str = Language.CHINESE
    identifier_kind: str = IdentifierKind.USCC

    @property
    def email(self) -> str:
        return f"{self.login}@{DOMAIN}"


@dataclass(frozen=True, kw_only=True)
class CastOffer:
    """What a supplier of the cast publishes, in base units of the item."""

    login: str
    item: str
    quantity: int
    facts: Mapping[str, Any]
    """Further arguments of `supply.create_offer`; the standard is a code."""


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_members(table: Mapping[str, Any], section: str) -> list[CastMember]:
    """The members of one section of `cast.toml`. Raises `CastError` for an entry that is not a member."""
    members = [_strictly(CastMember, entry, section) for entry in table.get(section, [])]
    for member in members:
        for name, allowed in (
            ("kind", OrganisationKind.values),
            ("language", Language.values),
            ("identifier_kind", IdentifierKind.values),
        ):
            if getattr(member, name) not in allowed:
                raise CastError(f"{section}, {member.login}: {name} {getattr(member, name)!r} is unknown.")
    return members


def read_offers(table: Mapping[str, Any], logins: set[str]) -> list[CastOffer]:
    """The offers of `offers.toml`. Raises `CastError` for an offer of somebody who is not among `logins`."""
    offers = []
    for entry in table["offers"]:
        # All else goes to the service as it stands, so a new field of offers needs no change here.
        facts = dict(entry)
        if "unit_price" in facts:
            facts["unit_price"] = Decimal(facts["unit_price"])  # text in the file, so that no price is rounded
        own = {name: facts.pop(name) for name in ("login", "item", "quantity") if name in facts}
        offer = _strictly(CastOffer, {**own, "facts": facts}, "offers")
        if offer.login not in logins:
            raise CastError(f"offers, {offer.item}: nobody has the log-in {offer.login!r}.")
        offers.append(offer)
    return offers


def _strictly(kind: type[T], entry: Mapping[str, Any], section: str) -> T:
    """A dataclass from an entry that has all its fields of the right type, and no other fields."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every kind here is a dataclass
    label = f"{section}, {entry.get('login', '?')}"
    if unknown := sorted(set(entry) - set(known)):
        raise CastError(f"{label}: unknown {', '.join(unknown)}.")
    required = {name for name, field in known.items() if field.default is MISSING}
    if missing := sorted(required - set(entry)):
        raise CastError(f"{label}: {', '.join(missing)} is missing.")
    for name, value in entry.items():
        expected = known[name].type
        # `type(...) is`, not isinstance: in TOML `true` is a bool, which Python would take for the number 1.
        if isinstance(expected, type) and type(value) is not expected:
            raise CastError(f"{label}: {name} must be {expected.__name__}, not {value!r}.")
    return kind(**entry)


def _load(name: str) -> dict[str, Any]:
    with open(DATA / name, "rb") as file:
        return tomllib.load(file)


_CAST = _load("cast.toml")
DESKS: Final = tuple(read_members(_CAST, "desks"))
MEMBERS: Final = tuple(read_members(_CAST, "members"))
NEWCOMERS: Final = {member.login: member for member in read_members(_CAST, "newcomers")}
EVERYBODY: Final = (*DESKS, *MEMBERS, *NEWCOMERS.values())
OFFERS: Final = tuple(read_offers(_load("offers.toml"), {member.login for member in EVERYBODY}))

ADMIN: Final = f"admin@{DOMAIN}"
# How the administrator made sure of the hospitals: the number of a register, and who answered.
CALL_BACK: Final = "卫健委医疗机构名录 027-5550 0100，总机转院办接听"
VIEWER: Final = f"hospital.viewer@{DOMAIN}"


def log_ins() -> list[tuple[str, str]]:
    """What each demo user is, and the address it logs in with."""
    members = [(member.what, member.email) for member in (*MEMBERS, *NEWCOMERS.values(), *DESKS)]
    return [*members, ("looks on for the Beijing hospital", VIEWER), ("administrator, also of the back office", ADMIN)]


# --- Papers -----------------------------------------------------------------------------------------------------------


def uscc(sector: str, region: str, serial: int) -> str:
    """A unified social credit code (GB 32100-2015) that is well formed and was never given out to these names."""
    body = f"99{serial:06d}"
    # Characters 9 to 17 are an organisation code, whose last one is a check digit: GB 11714-1997.
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    check = 11 - sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11
    first17 = sector + region + body + {10: "X", 11: "0"}.get(check, str(check))
    return first17 + uscc_check_character(first17)


def licence() -> bytes:
    """The smallest PDF that opens: one page that says what it is."""
    text = b"BT /F1 24 Tf 72 720 Td (Business licence - demonstration only) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
    ]
    # The table at the end of a PDF holds the offset of every object, in bytes from the beginning of the file.
    document, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        document
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            len(objects) + 1,
            table,
            len(objects) + 1,
            len(document),
        )
    )
