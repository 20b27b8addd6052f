"""What a need was given of what it wants, and why not more. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from apps.matching.scoring.ranking import Term


class Because(StrEnum):
    """Why a need was not given all it wants."""

    NO_SOURCE = "no_source"  # no offer fits
    MINIMUM = "minimum"  # what is left is below minimum orders, or too little to matter
    CAPPED = "capped"  # its share of a contested item
    SHARED = "shared"  # others of its tier need it too
    HIGHER = "higher"  # higher tiers were served first
    EXHAUSTED = "exhausted"  # all that fits is given


@dataclass(frozen=True)
class Shortage:
    """What a need was given of what it wants, and why not more (None: it was). `others` of its tier and `above` it
    were given some of the same item.
    """

    need_id: int
    given: int
    wanting: int
    because: Because | None = None
    others: int = 0
    above: int = 0

    @property
    def lacking(self) -> int:
        """What nobody is asked for, once this is carried out."""
        return self.wanting - self.given

    def term(self) -> Term:
        """As one more reason of a match, which weighs nothing."""
        facts: dict[str, int | str] = {
            "given": self.given,
            "wanting": self.wanting,
            "because": self.because or "",
            "others": self.others,
            "above": self.above,
        }
        return Term("share", facts, round(self.given / self.wanting, 6), 0.0)
