"""Numbers that registers give out, and how to tell a wrong one from its form."""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# --- Unified social credit code, GB 32100-2015 ------------------------------------------------------------------------

# I, O, S, V and Z are left out, because they look like digits or like each other.
USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
# Powers of 3 modulo 31, which is the number of characters in the alphabet.
_USCC_WEIGHTS: Final = tuple(pow(3, position, 31) for position in range(17))
_USCC: Final = re.compile(rf"[{USCC_ALPHABET}]{{2}}[0-9]{{6}}[{USCC_ALPHABET}]{{10}}")


class Sector(StrEnum):
    """The kind of body that a register is for, from the first two characters of the code."""

    GOVERNMENT = "government"
    PUBLIC_INSTITUTION = "public_institution"
    ASSOCIATION = "association"
    PRIVATE_NON_ENTERPRISE = "private_non_enterprise"
    FOUNDATION = "foundation"
    ENTERPRISE = "enterprise"
    SOLE_TRADER = "sole_trader"
    COOPERATIVE = "cooperative"
    OTHER = "other"


# First character: the department that registers; second character: the kind of body there.
_SECTORS: Final = {
    "11": Sector.GOVERNMENT,
    "12": Sector.PUBLIC_INSTITUTION,
    "51": Sector.ASSOCIATION,
    "52": Sector.PRIVATE_NON_ENTERPRISE,
    "53": Sector.FOUNDATION,
    "91": Sector.ENTERPRISE,
    "92": Sector.SOLE_TRADER,
    "93": Sector.COOPERATIVE,
}

# Kinds of organisation (values of accounts) and the sectors in which such bodies are registered. A hospital is a
# public institution, a private non-enterprise unit or a company.
_USUAL_SECTORS: Final[dict[str, frozenset[Sector]]] = {
    "hospital": frozenset({Sector.PUBLIC_INSTITUTION, Sector.PRIVATE_NON_ENTERPRISE, Sector.ENTERPRISE}),
    "health_facility": frozenset(Sector) - {Sector.COOPERATIVE},
    "community": frozenset(Sector) - {Sector.ENTERPRISE, Sector.SOLE_TRADER},
    "enterprise": frozenset({Sector.ENTERPRISE, Sector.SOLE_TRADER, Sector.COOPERATIVE}),
    "supplier": frozenset(Sector) - {Sector.GOVERNMENT},
    "carrier": frozenset({Sector.ENTERPRISE, Sector.SOLE_TRADER, Sector.PUBLIC_INSTITUTION, Sector.COOPERATIVE}),
    "government": frozenset({Sector.GOVERNMENT, Sector.PUBLIC_INSTITUTION}),
}


def uscc_check_character(first17: str) -> str:
    """The 18th character that belongs to the first 17 (GB 32100-2015, modulus 31). They must be of its alphabet."""
    total = sum(
        USCC_ALPHABET.index(character) * weight for character, weight in zip(first17, _USCC_WEIGHTS, strict=True)
    )
    # The standard gives 31 - total % 31, with 31 standing for 0. This is the same number.
    return USCC_ALPHABET[-total % 31]


def is_uscc(text: str) -> bool:
    """18 characters of the alphabet, digits where the region stands, and the right check character."""
    return bool(_USCC.fullmatch(text)) and uscc_check_character(text[:17]) == text[17]


def uscc_region(code: str) -> str:
    """The GB/T 2260 code of where the body was registered."""
    return code[2:8]


def uscc_sector(code: str) -> Sector:
    return _SECTORS.get(code[:2], Sector.OTHER)


def is_plausible_for(code: str, kind: str) -> bool:
    """Whether a body of this kind is usually registered so. A "no" is a question, not a verdict."""
    # A kind without an entry may be registered anywhere.
    usual = _USUAL_SECTORS.get(kind)
    return usual is None or uscc_sector(code) in usual


# --- GS1 --------------------------------------------------------------------------------------------------------------


def gs1_check_digit(digits: str) -> str:
    """The digit that follows: from the right, weights 3, 1, 3, 1… (GS1 General Specifications, 7.9)."""
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def is_gln(text: str) -> bool:
    """Whether the text is a Global Location Number: 13 digits, of which the last one checks the others."""
    # `isdigit` alone would accept digits of other scripts.
    return len(text) == 13 and text.isascii() and text.isdigit() and gs1_check_digit(text[:-1]) == text[-1]


# --- Chinese medical device certificates ------------------------------------------------------------------------------

# Registration numbers begin with the authority: 国 for the national one, else the short name of a province.
_PROVINCES: Final = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云滇藏陕甘青宁新兵"
_REGISTRATION: Final = re.compile(
    rf"(?P<authority>[国{_PROVINCES}])械注(?P<origin>[准进许])(?P<year>\d{{4}})(?P<klass>[23])(?P<category>\d{{2}})(?P<serial>\d{{4}})"
)
# The form before the rules of 2014. Price lists still quote it.
_OLD_REGISTRATION: Final = re.compile(
    rf"(?P<authority>[国{_PROVINCES}])食?药监械\((?P<origin>[准进许])\)字(?P<year>\d{{4}})第"
    r"(?P<klass>[123])(?P<category>\d{2})(?P<serial>\d{4})号?"
)
# Filings are made with a city or a province, so their authority may have two characters.
_FILING: Final = re.compile(r"(?P<authority>[一-龥]{1,2})械备(?P<year>\d{4})(?P<serial>\d{4})号?")

_ORIGINS: Final = {"准": "domestic", "进": "imported", "许": "hong_kong_macao_taiwan"}


@dataclass(frozen=True)
class DeviceCertificate:
    """A registration (class II and III) or a filing (class I) of a medical device in China."""

    number: str
    authority: str
    origin: str
    year: int
    device_class: int
    category: str
    serial: str


def parse_device_certificate(text: str) -> DeviceCertificate | None:
    """The certificate that `text` is, or None. Spaces and full-width brackets do not matter.

    Class III and everything from outside the mainland is registered nationally (国): anything else is no certificate.
    """
    number = re.sub(r"\s+", "", text).replace("（", "(").replace("）", ")").removesuffix("号")

    if match := _FILING.fullmatch(number):
        return DeviceCertificate(number, match["authority"], "domestic", int(match["year"]), 1, "", match["serial"])

    # Class I devices are filed, II and III are registered.
    match = _REGISTRATION.fullmatch(number) or _OLD_REGISTRATION.fullmatch(number)
    if not match or not 1990 <= int(match["year"]) <= 2100:
        return None
    if match["authority"] != "国" and (match["klass"] == "3" or match["origin"] != "准"):
        return None
    return DeviceCertificate(
        number=number,
        authority=match["authority"],
        origin=_ORIGINS[match["origin"]],
        year=int(match["year"]),
        device_class=int(match["klass"]),
        category=match["category"],
        serial=match["serial"],
    )


class CertificateFault(StrEnum):
    """What is wrong with a certificate, by its number and last valid day alone."""

    UNREADABLE = "unreadable"  # meant for the register of devices, and no number of it
    UNKNOWN_FORM = "unknown_form"  # of no register that is known here
    NOT_YET = "not_yet"
    RUN_OUT = "run_out"
    TOO_LONG = "too_long"
    CLASS_TOO_LOW = "class_too_low"
    OTHER_GOODS = "other_goods"


# NIOSH approvals, notified bodies of the EU, 510(k) clearances of the FDA. Their numbers tell no class and no goods.
_FOREIGN: Final = re.compile(r"TC-?\d{2}[A-Z]-?\d{4,5}|CE\d{4}|K\d{6}", re.IGNORECASE)
# A registration is valid for five years (order 739 of the State Council, 2021, article 22). It may be renewed some
# months before its end.
_REGISTERED_FOR: Final = 5


def fault_of_certificate(
    number: str,
    *,
    valid_until: dt.date | None,
    on: dt.date,
    least_class: int | None,
    categories: Collection[str] = (),
) -> CertificateFault | None:
    """What is wrong with a certificate of goods that are a device of `least_class` (None: no device) or a higher one.

    None if nothing is known to be wrong. No number at all is no fault: the requester sees that there is none.
    """
    if not number.strip():
        return None
    certificate = parse_device_certificate(number)
    if certificate is None:
        if "械" in number:
            return CertificateFault.UNREADABLE
        is_known = _FOREIGN.fullmatch(re.sub(r"\s+", "", number)) is not None
        return CertificateFault.UNKNOWN_FORM if (least_class or 0) > 1 and not is_known else None
    if certificate.year > on.year:
        return CertificateFault.NOT_YET
    # A renewal keeps the year of the first registration, but gave numbers of the old form a new one.
    if "药监械" in certificate.number and certificate.year + _REGISTERED_FOR < on.year:
        return CertificateFault.RUN_OUT
    is_registration = certificate.device_class > 1
    if is_registration and valid_until is not None and valid_until.year > on.year + _REGISTERED_FOR + 1:
        return CertificateFault.TOO_LONG
    if least_class is not None and certificate.device_class < least_class:
        return CertificateFault.CLASS_TOO_LOW
    if categories and certificate.category and certificate.category not in categories:
        return CertificateFault.OTHER_GOODS
    return None
