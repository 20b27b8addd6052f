"""How long needs waited from being posted to the contact."""

import datetime as dt
from dataclasses import dataclass

from django.db import connections, router

from apps.fulfilment.models import Order


@dataclass(frozen=True)
class Wait:
    median: dt.timedelta
    needs: int
    organisations: int


def waits(within: str = "") -> dict[str, Wait]:
    """How long needs waited from being posted to the contact, by province; "" is all together.

    The contact is there when the first order is: both come with the acceptance.
    """
    with connections[router.db_for_read(Order)].cursor() as cursor:
        cursor.execute(
            """
            WITH first AS (
                SELECT d.id, d.organisation_id, split_part(r.path, '/', 2) AS province,
                       min(o.created_at) - d.opened_at AS wait
                FROM demands_demand d
                JOIN catalogue_region r ON r.code = d.region_id
                JOIN matching_match m ON m.demand_id = d.id
                JOIN fulfilment_order o ON o.match_id = m.id
                WHERE d.opened_at IS NOT NULL AND starts_with(r.path, %s)
                GROUP BY d.id, r.path
            )
            SELECT coalesce(province, ''), percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(wait, interval '0')),
                   count(*), count(DISTINCT organisation_id)
            FROM first
            GROUP BY GROUPING SETS ((province), ())
            HAVING count(*) > 0
            """,
            [within],
        )
        return {province: Wait(median, needs, bodies) for province, median, needs, bodies in cursor.fetchall()}
