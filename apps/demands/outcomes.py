"""What became of a line that was posted, or of a draft that was sent out."""

from dataclasses import dataclass
from enum import Enum

from apps.core.errors import RuleViolation
from apps.demands.models import Demand


class PostOutcome(Enum):
    DRAFTED = "drafted"  # nobody asked to send it out
    OPENED = "opened"  # it is matched from now on
    HELD_FOR_REVIEW = "held_for_review"  # a coordinator looks at it first; the demand's `state_code` says why
    NEEDS_CONFIRMATION = "needs_confirmation"  # its quantity is unusual; of a post, nothing was saved
    WAITS_FOR_VERIFICATION = "waits_for_verification"  # it goes out by itself once the organisation is verified
    NEEDS_ITEM = "needs_item"  # saved as a draft: its item is not in the catalogue


@dataclass(frozen=True)
class LineOutcome:
    """The outcome of one line. If its owner can do something about it, `violation` says why the line is not out."""

    demand: Demand
    outcome: PostOutcome
    violation: RuleViolation | None = None
