"""The tables of this app: matches, contested items, needs not covered, levers, replays, records, offer index."""

# No module knows another.
from apps.matching.models.contested import ContestedItem, ContestedItemQuerySet
from apps.matching.models.levers import Lever, LeverCount, LeverEffect, LeverPull, LeverQuerySet
from apps.matching.models.matches import (
    BROKEN,
    CALLED_OFF,
    FAILED,
    GENERAL_REASONS,
    KEPT,
    PENDING,
    WAS_ASKED,
    DeclineReason,
    Match,
    MatchQuerySet,
    MatchState,
)
from apps.matching.models.offer_index import IndexCell, IndexedOffer
from apps.matching.models.replays import Replay, ReplayedNeed, ReplayedNeedQuerySet, ReplayQuerySet, ReplayState
from apps.matching.models.statistics import ReferencePrice, SupplierRecord
from apps.matching.models.uncovered import DESKS_TOLD_EVERY, Escalation, EscalationQuerySet, Shortfall

__all__ = [
    "BROKEN",
    "CALLED_OFF",
    "DESKS_TOLD_EVERY",
    "FAILED",
    "GENERAL_REASONS",
    "KEPT",
    "PENDING",
    "WAS_ASKED",
    "ContestedItem",
    "ContestedItemQuerySet",
    "DeclineReason",
    "Escalation",
    "EscalationQuerySet",
    "IndexCell",
    "IndexedOffer",
    "Lever",
    "LeverCount",
    "LeverEffect",
    "LeverPull",
    "LeverQuerySet",
    "Match",
    "MatchQuerySet",
    "MatchState",
    "ReferencePrice",
    "Replay",
    "ReplayQuerySet",
    "ReplayState",
    "ReplayedNeed",
    "ReplayedNeedQuerySet",
    "Shortfall",
    "SupplierRecord",
]
