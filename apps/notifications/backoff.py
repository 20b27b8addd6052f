"""Exponential back-off with jitter: when to try again. Pure."""

import datetime as dt
from typing import Final

FIRST: Final = dt.timedelta(seconds=30)
FACTOR: Final = 3
LONGEST: Final = dt.timedelta(hours=18)
JITTER: Final = 0.2
MAX_ATTEMPTS: Final = 10


def wait(attempts: int, luck: float) -> dt.timedelta:
    """The wait between failure number `attempts` (counted from 1) and the next attempt.

    30 s, then three times as long each time, at most 18 h: the tenth attempt is about two days after the first. `luck`,
    between 0 and 1, spreads what failed together over a fifth to either side.
    """
    # The exponent is bounded, so that a very large count cannot overflow a timedelta.
    plain = min(FIRST * int(FACTOR ** min(attempts - 1, 20)), LONGEST)
    return plain * (1 - JITTER + 2 * JITTER * luck)
