"""How much one network may leave behind in a day before anybody has verified it. Redis counts; without it nobody is
limited.
"""

import datetime as dt
import ipaddress
from typing import Final

import structlog
from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from apps.accounts.models import Organisation
from apps.core.errors import RuleViolation

log = structlog.get_logger(__name__)

MOST_ORGANISATIONS: Final = 20
MOST_DRAFTS: Final = 500
# A sheet has up to 2,000 rows, and nobody has counted them when it arrives.
DRAFTS_OF_A_SHEET: Final = 100
DAY: Final = 24 * 60 * 60  # seconds
# The bits that the addresses of one network share: what one line of a provider usually gets.
_SHARED_BITS: Final = {4: 24, 6: 64}


def network_of(address: str) -> str:
    """The network of an address, e.g. 203.0.113.0/24; what comes from all of it counts together."""
    found = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((found, _SHARED_BITS[found.version]), strict=False))


def count_organisation(address: str) -> None:
    """Raise `too_many_registrations` when organisations of this network have been registered all day."""
    if not _count("organisations", address, 1, MOST_ORGANISATIONS):
        raise RuleViolation(
            "too_many_registrations",
            _("Too many organisations were registered from your network today. Try again tomorrow."),
            status=429,
        )


def count_drafts(organisation: Organisation, address: str, number: int = 1) -> None:
    """Raise `too_many_drafts` when organisations that nobody has verified post too much from this network in a day."""
    if not organisation.is_verified and not _count("drafts", address, number, MOST_DRAFTS):
        raise RuleViolation(
            "too_many_drafts",
            _("Too much was saved from your network today before it was verified. Try again tomorrow."),
            status=429,
        )


def _count(what: str, address: str, number: int, most: int, now: dt.datetime | None = None) -> bool:
    """Whether so many more are within the limit of the day. An address that is not known is not counted."""
    if not address:
        return True
    key = f"limit:{what}:{network_of(address)}:{now or timezone.now():%Y%m%d}"
    try:
        # `add` writes only if there is nothing, so that of two first ones neither is lost.
        cache.add(key, 0, timeout=DAY)
        return cache.incr(key, number) <= most
    except (RedisError, OSError, ValueError) as error:
        log.warning("limit_without_redis", error=str(error))
        return True
