"""Is a quantity what such an organisation usually asks for? Pure arithmetic on past quantities."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from apps.accounts.disclosure import LEAST_ORGANISATIONS

# With fewer past quantities than this only a gross difference is asked about.
ENOUGH: Final = 5
GROSS_RATIO: Final = 100
UNUSUAL_RATIO: Final = 10
ABSURD_RATIO: Final = 1_000
# In base units: more than the largest single public order known to us, so a slip of the finger even without any
# history.
ABSURD_ALWAYS: Final = 100_000_000


class Plausibility(Enum):
    PLAUSIBLE = "plausible"
    UNUSUAL = "unusual"  # asked about before it goes out
    ABSURD = "absurd"  # waits for a coordinator


@dataclass(frozen=True)
class Judgement:
    plausibility: Plausibility
    usual: int | None  # about the median of the past, where there is any that may be told


def judge_for(organisation: int, quantity: int, past: Sequence[tuple[int, int]]) -> Judgement:
    """Compare it with what this organisation and others of its kind asked for: `past`, pairs of organisation and
    quantity.

    While only one or two others have asked, it is compared with its own past alone; if it has none, with the order of
    magnitude of theirs. Whoever tries quantities may find that out, so no more than that is compared.
    """
    own = [one for who, one in past if who == organisation]
    if len({who for who, _one in past} - {organisation}) >= LEAST_ORGANISATIONS:
        return judge(quantity, [one for _who, one in past])
    if own:
        return judge(quantity, own)
    theirs = [magnitude(statistics.median(one for _who, one in past))] if past else []
    return replace(judge(quantity, theirs), usual=None)


def magnitude(quantity: float) -> int:
    """The power of ten that is nearest by ratio."""
    return int(10 ** round(math.log10(quantity)))


def about(quantity: int) -> int:
    """Rounded to two digits: a median is what a single one asked for."""
    return round(quantity, 2 - len(str(quantity)))


def judge(quantity: int, past: Sequence[int]) -> Judgement:
    """Compare a quantity with past ones of the same item by the same kind of organisation (all in base units, > 0)."""
    usual = about(int(statistics.median(past))) if past else None
    if quantity > ABSURD_ALWAYS:
        return Judgement(Plausibility.ABSURD, usual)
    if usual is None:
        return Judgement(Plausibility.PLAUSIBLE, None)

    ratio = max(quantity / usual, usual / quantity)
    is_enough = len(past) >= ENOUGH
    if is_enough and ratio > ABSURD_RATIO and quantity > usual:
        return Judgement(Plausibility.ABSURD, usual)
    limit = UNUSUAL_RATIO if is_enough else GROSS_RATIO
    return Judgement(Plausibility.UNUSUAL if ratio >= limit else Plausibility.PLAUSIBLE, usual)
