"""What a need got of what it wants, and why not more. Pure."""

from dataclasses import dataclass

from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.ranking import TermScore


@dataclass(frozen=True)
class Shortage:
    """What a plan gives a need, in base units, of what remains of it, and why not more.

    `because` is None where it gets all of it, else one of `reasons.OF_SHORTAGES`. `others` counts the needs of its tier
    that get some of the same item, `above` those of higher tiers.
    """

    need_id: int
    given: int
    wanting: int
    because: Reason | None = None
    others: int = 0
    above: int = 0

    @property
    def lacking(self) -> int:
        """Units that nobody is asked for once the plan is carried out."""
        return self.wanting - self.given

    def term(self) -> TermScore:
        """The shortage as one more reason of a match. Its weight is 0, so it does not count in the score."""
        facts: dict[str, int | str] = {
            "given": self.given,
            "wanting": self.wanting,
            "because": self.because or "",
            "others": self.others,
            "above": self.above,
        }
        return TermScore("share", facts, round(self.given / self.wanting, 6), 0.0)
