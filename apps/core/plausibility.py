"""Whether a number is what such organisations usually give, by past numbers. Pure.

Needs and offers are judged by the same rule. A number is compared with the median of past ones by its ratio. How far is
too far depends on how much the past ones differ, measured by the median absolute deviation (MAD) of their logarithms.
Median and MAD stay where they are while fewer than half of the numbers are wrong. The limit of 3.5 robust standard
deviations is that of B. Iglewicz and D. Hoaglin, *How to Detect and Handle Outliers* (ASQC, 1993).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from apps.core.disclosure import LEAST_ORGANISATIONS

# The number of past numbers from which a median is trusted. With fewer, only a gross difference is asked about.
ENOUGH: Final = 5
# Ratios to the median, in either direction. A factor of ten is one digit too many or too few.
GROSS_RATIO: Final = 100
UNUSUAL_RATIO: Final = 10
ABSURD_RATIO: Final = 1_000
# In base units. It is more than the largest single public order known to us, so it is a typing mistake even without any
# history.
ABSURD_ALWAYS: Final = 100_000_000

# From so many standard deviations on a number is an outlier. Of a normal distribution one is 1.4826 times the MAD.
_OUTLIER: Final = 3.5
_DEVIATION_OF_MAD: Final = 1.4826


@dataclass(frozen=True)
class Ratios:
    """From which ratios to the median on a number is asked about, and held for a coordinator."""

    unusual: float = UNUSUAL_RATIO
    gross: float = GROSS_RATIO  # the same where fewer than `ENOUGH` are known; the limit is never wider
    absurd: float = ABSURD_RATIO
    # Too much and too little are equally suspicious. But only too large a quantity takes goods from others.
    is_absurd_below: bool = False


QUANTITY: Final = Ratios()
# Prices differ less than quantities. One far below the others is bait, or the price of another unit.
PRICE: Final = Ratios(unusual=5, gross=25, absurd=50, is_absurd_below=True)


class Plausibility(Enum):
    PLAUSIBLE = "plausible"
    UNUSUAL = "unusual"  # asked about before it goes out
    ABSURD = "absurd"  # waits for a coordinator


@dataclass(frozen=True)
class Judgement:
    plausibility: Plausibility
    usual: float | None  # the rounded median of the past; None if there is none, or none that may be disclosed


@dataclass(frozen=True)
class Band:
    """What is usual, and between which ratios to it a number is neither asked about nor held."""

    usual: float | None = None
    unusual: float = math.inf
    absurd: float = math.inf
    is_absurd_below: bool = False
    ceiling: float = math.inf  # above it a number is absurd, whatever is usual
    is_told: bool = True

    def judge(self, number: float) -> Judgement:
        """Compare a number (> 0) with the band."""
        told = self.usual if self.is_told else None
        if number > self.ceiling:
            return Judgement(Plausibility.ABSURD, told)
        if self.usual is None:
            return Judgement(Plausibility.PLAUSIBLE, told)
        ratio = max(number / self.usual, self.usual / number)
        if ratio > self.absurd and (number > self.usual or self.is_absurd_below):
            return Judgement(Plausibility.ABSURD, told)
        return Judgement(Plausibility.UNUSUAL if ratio >= self.unusual else Plausibility.PLAUSIBLE, told)


def band_of(past: Sequence[float], *, ratios: Ratios = QUANTITY, ceiling: float = ABSURD_ALWAYS) -> Band:
    """The band around past numbers (> 0) of the same item by the same kind of organisation."""
    if not past:
        return Band(ceiling=ceiling)
    usual = about(statistics.median(past))
    if len(past) < ENOUGH:
        return Band(usual, ratios.gross, ceiling=ceiling)
    # Numbers that differ much from each other widen the limit, up to the gross one: nobody can widen it for ever.
    logs = [math.log10(one) for one in past]
    middle = statistics.median(logs)
    deviation = _DEVIATION_OF_MAD * statistics.median(abs(one - middle) for one in logs)
    unusual = min(max(ratios.unusual, 10 ** (_OUTLIER * deviation)), ratios.gross)
    absurd = ratios.absurd * unusual / ratios.unusual
    return Band(usual, unusual, absurd, ratios.is_absurd_below, ceiling)


def band_for(
    organisation: int,
    past: Sequence[tuple[int, float]],
    *,
    ratios: Ratios = QUANTITY,
    ceiling: float = ABSURD_ALWAYS,
) -> Band:
    """The band for an organisation, by what it and others of its kind gave.

    `past` are pairs of organisation and number. If fewer than three others have given any, only the organisation's own
    past counts; if it has none, the order of magnitude of theirs. Somebody who tries numbers learns what they are
    compared with, so it may not be the exact number of one or two others.
    """
    own = [one for who, one in past if who == organisation]
    if len({who for who, _one in past} - {organisation}) >= LEAST_ORGANISATIONS:
        return band_of([one for _who, one in past], ratios=ratios, ceiling=ceiling)
    if own or not past:
        return band_of(own, ratios=ratios, ceiling=ceiling)
    theirs = magnitude(statistics.median(one for _who, one in past))
    return replace(band_of([theirs], ratios=ratios, ceiling=ceiling), is_told=False)


def judge_for(organisation: int, quantity: int, past: Sequence[tuple[int, int]]) -> Judgement:
    """Compare a quantity with what this organisation and others of its kind asked for (`band_for`)."""
    return band_for(organisation, past).judge(quantity)


def judge(quantity: int, past: Sequence[int]) -> Judgement:
    """Compare a quantity with past ones of the same item by the same kind of organisation (all in base units, > 0)."""
    return band_of(past).judge(quantity)


def magnitude(number: float) -> float:
    """The power of ten that is nearest by ratio: 400 gives 1,000."""
    power = round(math.log10(number))
    return 10**power if power >= 0 else 10.0**power


def about(number: float) -> float:
    """Rounded to two digits, because a median is the exact number of a single organisation."""
    rounded = round(number, 1 - math.floor(math.log10(number)))
    # The median of whole numbers is one, too, and is shown without a decimal point.
    return int(rounded) if rounded == int(rounded) else rounded
