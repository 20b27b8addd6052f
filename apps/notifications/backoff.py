"""Exponential back-off with jitter: when to try again. Pure."""

import datetime as dt
from typing import Final

FIRST: Final = dt.timedelta(seconds=30)
FACTOR: Final = 3
LONGEST: Final = dt.timedelta(hours=18)
JITTER: Final = 0.2
MAX_ATTEMPTS: Final = 10


def wait(attempts: int, luck: float, longest: dt.timedelta = LONGEST) -> dt.timedelta:
    """The wait between failure number `attempts` (counted from 1) and the next attempt.

    The first wait is 30 s, each further one three times as long, and none longer than `longest`. With 18 h, the tenth
    attempt is about two days after the first. `luck`, from 0 to 1, changes the wait by up to a fifth, so that messages
    that failed together are not all tried again at the same moment.
    """
    # The exponent is bounded, so that a very large count cannot overflow a timedelta.
    plain = min(FIRST * int(FACTOR ** min(attempts - 1, 20)), longest)
    return plain * (1 - JITTER + 2 * JITTER * luck)
