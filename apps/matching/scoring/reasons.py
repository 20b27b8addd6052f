"""Why an offer may not serve a need, and why a need was not given all it wants: one list of codes. Pure.

The codes are stored and seen by clients: they keep their spelling.
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """One reason why not."""

    # Why an offer may not serve a need. `eligibility.checks` decides on these.
    OWN = "own"  # the need and the offer are of one organisation
    SUBSTITUTE = "substitute"  # another item, which the requester does not accept
    STANDARD = "standard"  # not the standard that is asked for, nor one that meets it
    REGION = "region"  # the supplier does not ship there
    ASKED_BEFORE = "asked_before"  # its supplier was asked and said no, or never answered
    MINIMUM = "minimum"  # the minimum order is more than the need still wants
    STOCK = "stock"  # all promised to others, or less left than the minimum order
    LITTLE = "little"  # less left than is worth a shipment for this need
    FAR = "far"  # a gift, which waits for a need nearby before it goes so far to one that can wait

    # Why an offer serves nobody at the moment. `loading` leaves these out.
    CERTIFICATE = "certificate"  # has run out
    UNVERIFIED = "unverified"  # the supplier is not verified
    STALE = "stale"  # not confirmed for long, or said to be gone
    PAUSED = "paused"

    # Why a need was not given all it wants, beside MINIMUM: what is left is below minimum orders, or too little.
    NO_SOURCE = "no_source"  # no offer fits
    CAPPED = "capped"  # its share of a contested item
    SHARED = "shared"  # others of its tier need it too
    HIGHER = "higher"  # higher tiers were served first
    EXHAUSTED = "exhausted"  # all that fits is given


# The reasons that a need's shortage may have. Stored with each shortage.
OF_SHORTAGES: Final = (
    Reason.NO_SOURCE,
    Reason.MINIMUM,
    Reason.CAPPED,
    Reason.SHARED,
    Reason.HIGHER,
    Reason.EXHAUSTED,
)

# The reasons that are counted for the outlook of a need, in the order in which they are told. The requester's own
# offers are not counted.
OF_OFFERS: Final = (
    Reason.SUBSTITUTE,
    Reason.STANDARD,
    Reason.REGION,
    Reason.MINIMUM,
    Reason.STOCK,
    Reason.LITTLE,
    Reason.ASKED_BEFORE,
    Reason.CERTIFICATE,
    Reason.UNVERIFIED,
    Reason.STALE,
    Reason.PAUSED,
    Reason.FAR,
)
