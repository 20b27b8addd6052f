"""Whether a quantity is what such an organisation usually asks for, by past quantities. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from apps.accounts.disclosure import LEAST_ORGANISATIONS

# The number of past quantities from which a median is trusted. With fewer, only a gross difference is asked about.
ENOUGH: Final = 5
# Ratios to the median, in either direction. A factor of ten is one digit too many or too few.
GROSS_RATIO: Final = 100
UNUSUAL_RATIO: Final = 10
ABSURD_RATIO: Final = 1_000
# In base units. It is more than the largest single public order known to us, so it is a typing mistake even without any
# history.
ABSURD_ALWAYS: Final = 100_000_000


class Plausibility(Enum):
    PLAUSIBLE = "plausible"
    UNUSUAL = "unusual"  # asked about before it goes out
    ABSURD = "absurd"  # waits for a coordinator


@dataclass(frozen=True)
class Judgement:
    plausibility: Plausibility
    usual: int | None  # the rounded median of the past; None if there is none, or none that may be disclosed


def judge_for(organisation: int, quantity: int, past: Sequence[tuple[int, int]]) -> Judgement:
    """Compare a quantity with what this organisation and others of its kind asked for.

    `past` are pairs of organisation and quantity. If fewer than three others have asked, the quantity is compared with
    the organisation's own past alone; if it has none, with the order of magnitude of theirs. Somebody who tries
    quantities learns what they are compared with, so it may not be the exact quantity of one or two others.
    """
    own = [one for who, one in past if who == organisation]
    if len({who for who, _one in past} - {organisation}) >= LEAST_ORGANISATIONS:
        return judge(quantity, [one for _who, one in past])
    if own:
        return judge(quantity, own)
    theirs = [magnitude(statistics.median(one for _who, one in past))] if past else []
    return replace(judge(quantity, theirs), usual=None)


def magnitude(quantity: float) -> int:
    """The power of ten that is nearest by ratio: 400 gives 1,000."""
    return int(10 ** round(math.log10(quantity)))


def about(quantity: int) -> int:
    """Rounded to two digits, because a median is the exact quantity of a single organisation."""
    return round(quantity, 2 - len(str(quantity)))


def judge(quantity: int, past: Sequence[int]) -> Judgement:
    """Compare a quantity with past ones of the same item by the same kind of organisation (all in base units, > 0)."""
    usual = about(int(statistics.median(past))) if past else None
    if quantity > ABSURD_ALWAYS:
        return Judgement(Plausibility.ABSURD, usual)
    if usual is None:
        return Judgement(Plausibility.PLAUSIBLE, None)

    # Too much and too little are equally suspicious. But only too much takes goods from others, so only that is absurd.
    ratio = max(quantity / usual, usual / quantity)
    is_enough = len(past) >= ENOUGH
    if is_enough and ratio > ABSURD_RATIO and quantity > usual:
        return Judgement(Plausibility.ABSURD, usual)
    limit = UNUSUAL_RATIO if is_enough else GROSS_RATIO
    return Judgement(Plausibility.UNUSUAL if ratio >= limit else Plausibility.PLAUSIBLE, usual)
