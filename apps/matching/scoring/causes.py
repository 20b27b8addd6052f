"""Why goods are kept from many needs at once, where one act would open them. Pure."""

from enum import StrEnum


class Cause(StrEnum):
    """The codes are stored. What is asked of whom stands beside each."""

    MINIMUM = "minimum"  # a supplier: to lower its minimum order
    UNSTATED = "unstated"  # suppliers: to state the standard of their goods
    STANDARD = "standard"  # requesters: to accept another standard than they asked for
    CERTIFICATE = "certificate"  # suppliers: to renew certificates that have run out
    STALE = "stale"  # suppliers that said nothing for long: to confirm that the goods are there


# Where requesters are asked. In all other cases suppliers are.
OF_REQUESTERS = (Cause.STANDARD,)
