"""How long a need waits, by urgency: pure arithmetic.

The defaults are those of the platform's rules: an emergency is escalated after 2 hours and asked about after 3 days.
"""

import datetime as dt
from typing import Final

ESCALATES_AFTER: Final = {
    "emergency": dt.timedelta(hours=2),
    "urgent": dt.timedelta(hours=10),
    "routine": dt.timedelta(hours=72),
}
STALE_AFTER: Final = {
    "emergency": dt.timedelta(days=3),
    "urgent": dt.timedelta(days=7),
    "routine": dt.timedelta(days=14),
}

# A one-click question goes out when this share of the freshness is left.
ASK_WHEN_LEFT: Final = 0.25


def escalates_at(urgency: str, since: dt.datetime) -> dt.datetime:
    return since + ESCALATES_AFTER[urgency]


def stale_at(urgency: str, confirmed_at: dt.datetime) -> dt.datetime:
    return confirmed_at + STALE_AFTER[urgency]


def ask_at(urgency: str, confirmed_at: dt.datetime) -> dt.datetime:
    return confirmed_at + STALE_AFTER[urgency] * (1 - ASK_WHEN_LEFT)
