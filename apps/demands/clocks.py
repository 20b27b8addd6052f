"""When the clocks of a need ring: pure arithmetic on the values of a policy.

A clock is set when it starts to run and stands in the row, so a new version of the policy changes none that is running.
"""

import datetime as dt

from apps.policy.values import PolicyValues


def escalates_at(urgency: str, since: dt.datetime, policy: PolicyValues) -> dt.datetime:
    """When a need that is not covered is escalated to the next coordinator up."""
    return since + policy.escalates_after(urgency)


def ask_at(urgency: str, confirmed_at: dt.datetime, policy: PolicyValues) -> dt.datetime:
    """When its owner is asked whether it is still needed."""
    return confirmed_at + policy.asks_after(urgency)


def stale_at(urgency: str, confirmed_at: dt.datetime, policy: PolicyValues) -> dt.datetime:
    """When it is suspended, if nobody said so."""
    return confirmed_at + policy.stale_after(urgency)
