"""The times at which the clocks of a need run out, by the values of a policy. Pure.

A clock is stored in the row when it starts, so a new version of the policy changes no clock that is running.
"""

import datetime as dt

from apps.policy.values import PolicyValues


def escalates_at(urgency: str, since: dt.datetime, policy: PolicyValues) -> dt.datetime:
    """When a need that is not covered is escalated to the next coordinator up."""
    return since + policy.escalates_after(urgency)


def ask_at(urgency: str, confirmed_at: dt.datetime, policy: PolicyValues) -> dt.datetime:
    """When the requester is asked whether the need still stands."""
    return confirmed_at + policy.asks_after(urgency)


def stale_at(urgency: str, confirmed_at: dt.datetime, policy: PolicyValues) -> dt.datetime:
    """When the need is suspended, unless somebody confirms it before."""
    return confirmed_at + policy.stale_after(urgency)
