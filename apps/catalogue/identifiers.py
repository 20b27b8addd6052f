"""Check characters and structures of the identifiers of organisations, goods and devices."""

from typing import Final

USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015: digits and letters without I, O, S, V and Z."""


def is_uscc(code: str) -> bool:
    """Whether this is a unified social credit code: 18 characters whose last fits the others (GB 32100-2015)."""
    if len(code) != 18 or any(character not in USCC_ALPHABET for character in code):
        return False
    total = sum(USCC_ALPHABET.index(character) * pow(3, place, 31) for place, character in enumerate(code[:17]))
    return USCC_ALPHABET[(31 - total % 31) % 31] == code[17]


def has_gs1_check_digit(digits: str) -> bool:
    """Whether the last digit fits the others: weights 3, 1, 3, 1 … from the right, without the check digit (GS1)."""
    if not (digits.isascii() and digits.isdigit()):
        return False
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits[:-1])))
    return (10 - total % 10) % 10 == int(digits[-1])


def is_gln(code: str) -> bool:
    """Whether this is a global location number: 13 digits, the last of which checks the others."""
    return len(code) == 13 and has_gs1_check_digit(code)
