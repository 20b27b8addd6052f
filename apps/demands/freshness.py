"""“Still needed?”: what time does to needs that nobody confirms. With `services.py` it writes this app's tables."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from apps.core.posts import AT_ONCE, change_states
from apps.demands.models import Demand, DemandState, DemandStateCode
from apps.demands.services import describe
from apps.notifications.services import News, queue_all


@transaction.atomic
def ask_whether_still_needed(*, now: dt.datetime | None = None, limit: int = AT_ONCE) -> int:
    """Ask, once, the owners of needs whose freshness is running out. Returns how many were asked."""
    now = now or timezone.now()
    demands = Demand.objects.to_be_asked(now).first_locked("ask_at", limit)
    Demand.objects.filter(pk__in=[demand.pk for demand in demands]).update(asked_at=now)
    queue_all(
        [
            News(
                "demand.freshness_asked",
                demand.organisation,
                describe(demand),
                key=f"demand.freshness_asked:{_confirmation(demand)}",
            )
            for demand in demands
        ]
    )
    return len(demands)


@transaction.atomic
def suspend_stale(*, now: dt.datetime | None = None, limit: int = AT_ONCE) -> int:
    """Suspend the needs that nobody confirmed in time, and say so. Returns how many."""
    now = now or timezone.now()
    demands = Demand.objects.gone_stale(now).first_locked("stale_at", limit)
    change_states(demands, DemandState.STALE, now=now, code=DemandStateCode.NOBODY_CONFIRMED)
    queue_all(
        [
            News(
                "demand.suspended",
                demand.organisation,
                describe(demand),
                key=f"demand.suspended:{_confirmation(demand)}",
            )
            for demand in demands
        ]
    )
    return len(demands)


def _confirmation(demand: Demand) -> str:
    """Part of the key of a notice: after each confirmation it may be asked and suspended again."""
    return f"{demand.pk}:{demand.confirmed_at:%Y%m%d%H%M%S}"
