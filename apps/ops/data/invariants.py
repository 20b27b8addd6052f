"""Conditions that must hold in the database at any time, in SQL, so that they share no code with the program."""

from typing import Any

from django.db import connection

# Each query finds the rows that break a promise.
INVARIANTS = {
    "no offer is oversold": """
        SELECT o.id FROM supply_offer o WHERE o.quantity_reserved > o.quantity OR o.quantity_reserved < 0""",
    "what an offer has promised is what is held and ordered of it": """
        SELECT o.id FROM supply_offer o
        WHERE o.quantity_reserved <>
              coalesce((SELECT sum(m.quantity) FROM matching_match m WHERE m.offer_id = o.id AND m.state = 'held'), 0)
            + coalesce((SELECT sum(r.quantity) FROM fulfilment_order r JOIN matching_match m ON m.id = r.match_id
                        WHERE m.offer_id = o.id AND r.state <> 'cancelled'), 0)""",
    "no demand is overserved": """
        SELECT d.id FROM demands_demand d WHERE d.quantity_held + d.quantity_matched > d.quantity""",
    "what a demand has asked for is what is held for it": """
        SELECT d.id FROM demands_demand d
        WHERE d.quantity_held <>
              coalesce((SELECT sum(m.quantity) FROM matching_match m
                        WHERE m.demand_id = d.id AND m.state = 'held'), 0)""",
    "what a demand was promised is what is ordered for it, less what was lost": """
        SELECT d.id FROM demands_demand d
        WHERE d.quantity_matched <>
              coalesce((SELECT sum(CASE WHEN r.state = 'closed' THEN r.quantity_received
                                        ELSE r.quantity - r.quantity_rejected END)
                        FROM fulfilment_order r JOIN matching_match m ON m.id = r.match_id
                        WHERE m.demand_id = d.id AND r.state <> 'cancelled'), 0)""",
    "what a demand has received is what was accepted at its door": """
        SELECT d.id FROM demands_demand d
        WHERE d.quantity_received <>
              coalesce((SELECT sum(v.quantity_accepted) FROM fulfilment_delivery v
                        JOIN fulfilment_order r ON r.id = v.order_id JOIN matching_match m ON m.id = r.match_id
                        WHERE m.demand_id = d.id), 0)""",
    "an accepted match has its order, and only an accepted one": """
        SELECT m.id FROM matching_match m
        LEFT JOIN fulfilment_order r ON r.match_id = m.id AND r.repeat_of_id IS NULL
        WHERE (m.state = 'accepted') <> (r.id IS NOT NULL AND r.state <> 'cancelled')""",
    "a demand is matched only when all of it is promised": """
        SELECT d.id FROM demands_demand d
        WHERE d.quantity IS NOT NULL AND d.state = 'matched' AND d.quantity_matched < d.quantity""",
    "a supplier is asked once at a time for a need": """
        SELECT min(m.id) FROM matching_match m WHERE m.state IN ('held', 'standby')
        GROUP BY m.demand_id, m.offer_id HAVING count(*) > 1""",
    "a demand is fulfilled only when all of it is received": """
        SELECT d.id FROM demands_demand d
        WHERE d.state = 'fulfilled' AND (d.quantity IS NULL OR d.quantity_received < d.quantity)""",
    "the level of a need is how many coordinators were told since its clock began": """
        SELECT d.id FROM demands_demand d
        WHERE d.escalation_level <>
              coalesce((SELECT max(e.level) FROM matching_escalation e
                        WHERE e.demand_id = d.id AND NOT e.for_approval AND e.since = d.escalating_since), 0)""",
    # Grouped by the match or order and not by the key, because one event under two keys would send two mails.
    "nobody is told the same event of a match twice": """
        SELECT min(n.id) FROM notifications_message n WHERE n.event LIKE 'match.%'
        GROUP BY n.event, n.context -> 'match_id', n.channel, n.address HAVING count(*) > 1""",
    "nobody is told the same event of an order twice": """
        SELECT min(n.id) FROM notifications_message n
        WHERE n.event IN ('order.confirmed', 'order.repeated', 'order.cancelled', 'order.closed')
        GROUP BY n.event, n.context -> 'order_id', n.channel, n.address HAVING count(*) > 1""",
    "nobody reads the same thing twice in the portal": """
        SELECT min(n.id) FROM notifications_notification n GROUP BY n.user_id, n.event, n.key HAVING count(*) > 1""",
}

# The keys of events of which an organisation with people must have been notified, but was not.
UNTOLD = """
    WITH due (key, organisation_id) AS (
        SELECT 'match.proposed:' || m.id, o.organisation_id
        FROM matching_match m JOIN supply_offer o ON o.id = m.offer_id
        WHERE m.state <> 'standby' AND m.respond_by IS NOT NULL
            -- Who said yes by phone was asked by phone.
            AND NOT EXISTS (SELECT FROM desk_desknote n WHERE n.match_id = m.id AND n.kind = 'yes')
      UNION ALL
        SELECT 'match.accepted:' || m.id, d.organisation_id
        FROM matching_match m JOIN demands_demand d ON d.id = m.demand_id WHERE m.state = 'accepted'
      UNION ALL
        SELECT 'match.expired:' || m.id, o.organisation_id
        FROM matching_match m JOIN supply_offer o ON o.id = m.offer_id WHERE m.state = 'expired'
      UNION ALL
        SELECT 'match.withdrawn:' || m.id, o.organisation_id
        FROM matching_match m JOIN supply_offer o ON o.id = m.offer_id
        WHERE m.state = 'cancelled' AND m.respond_by IS NOT NULL AND m.responded_at IS NULL
          -- A supplier that was asked anew gets only the new request. One that said "gone" gets one message for all.
          AND NOT EXISTS (SELECT FROM matching_match x WHERE x.demand_id = m.demand_id AND x.offer_id = m.offer_id
                          AND x.id > m.id AND x.respond_by IS NOT NULL)
          AND NOT EXISTS (SELECT FROM matching_match x WHERE x.offer_id = m.offer_id AND x.state = 'declined'
                          AND x.decline_reason = 'gone' AND x.responded_at BETWEEN m.created_at AND m.updated_at)
      UNION ALL
        SELECT CASE WHEN r.repeat_of_id IS NULL THEN 'order.confirmed:' ELSE 'order.repeated:' END || r.id,
               o.organisation_id
        FROM fulfilment_order r JOIN matching_match m ON m.id = r.match_id JOIN supply_offer o ON o.id = m.offer_id
      UNION ALL
        SELECT 'order.cancelled:' || r.id, side.organisation_id
        FROM fulfilment_order r JOIN matching_match m ON m.id = r.match_id
        JOIN supply_offer o ON o.id = m.offer_id JOIN demands_demand d ON d.id = m.demand_id
        CROSS JOIN LATERAL (VALUES (o.organisation_id), (d.organisation_id)) AS side (organisation_id)
        WHERE r.state = 'cancelled'
    )
    SELECT due.key FROM due
    WHERE EXISTS (SELECT FROM accounts_membership s
                  WHERE s.organisation_id = due.organisation_id AND s.role <> 'viewer')
      AND NOT EXISTS (SELECT FROM notifications_message n
                      WHERE n.key = due.key AND n.organisation_id = due.organisation_id)
    ORDER BY 1"""

# Unanswered holds of a need, while a need of a higher tier lacks goods that the same offer could give it. Both needs
# are for the same item and region. The offer is published, ships there, meets the standard, and was not refused to that
# need.
UPSIDE_DOWN = """
    WITH need AS (
        SELECT d.*, g.state AS side, r.path, CASE g.kind
                   WHEN 'hospital' THEN 1 WHEN 'health_facility' THEN 2 WHEN 'community' THEN 3 ELSE 4 END AS rank,
               coalesce(d.quantity, d.trial_quantity, i.trial_lot) - d.quantity_held - d.quantity_matched AS lacks
        FROM demands_demand d JOIN accounts_organisation g ON g.id = d.organisation_id
        JOIN catalogue_region r ON r.code = d.region_id JOIN catalogue_item i ON i.id = d.item_id
    )
    SELECT DISTINCT m.id
    FROM matching_match m
    JOIN supply_offer o ON o.id = m.offer_id AND o.state = 'published'
    JOIN accounts_organisation s ON s.id = o.organisation_id AND s.state = 'verified'
    JOIN need low ON low.id = m.demand_id
    JOIN need high ON high.item_id = low.item_id AND high.region_id = low.region_id
        AND high.rank < least(low.rank, m.tier)
    WHERE m.state = 'held'
      AND high.state = 'open' AND high.side = 'verified' AND high.organisation_id <> o.organisation_id
      AND o.item_id = high.item_id
      AND (o.ships_to = '{}' OR o.ships_to && string_to_array(high.path, '/')::varchar[])
      AND (high.standard_id IS NULL OR EXISTS (
          SELECT FROM catalogue_satisfaction f WHERE f.offered_id = o.standard_id AND f.demanded_id = high.standard_id))
      AND high.lacks >= o.minimum_order
      AND o.quantity - o.quantity_reserved + m.quantity >= greatest(o.minimum_order, ceil(0.01 * high.lacks))
      AND NOT EXISTS (
          SELECT FROM matching_match x
          WHERE x.demand_id = high.id AND x.offer_id = o.id
            AND (x.state = 'held'
                 OR ((x.state IN ('declined', 'expired') OR (x.state = 'cancelled' AND x.responded_at IS NOT NULL)
                      OR (x.state = 'accepted' AND (x.quantity < x.quantity_asked OR x.quantity_lost > 0)))
                     AND o.confirmed_at <= x.updated_at)))
      AND NOT EXISTS (  -- a no that counts for other needs too
          SELECT FROM matching_match x JOIN supply_offer p ON p.id = x.offer_id
          WHERE p.organisation_id = o.organisation_id AND p.item_id = o.item_id AND o.confirmed_at <= x.updated_at
            AND (x.state = 'declined' AND (x.decline_reason = 'distance' AND p.origin_region_id = o.origin_region_id
                                           OR x.decline_reason = 'standard'
                                              AND p.standard_id IS NOT DISTINCT FROM o.standard_id)
                 OR x.demand_id = high.id AND (x.state = 'expired' OR x.decline_reason = 'price')))
    ORDER BY 1"""


def broken_invariants() -> dict[str, list[int]]:
    """The promises that are broken, with the ids of the rows that break them."""
    broken = {promise: asked(query) for promise, query in INVARIANTS.items()}
    return {promise: rows for promise, rows in broken.items() if rows}


def untold() -> list[str]:
    """The keys of events of which an organisation with people was not notified."""
    return asked(UNTOLD)


def upside_down() -> list[int]:
    """Holds of a lower tier on goods that a higher tier lacks. Two sweeps after the last change there are none."""
    return asked(UPSIDE_DOWN)


def asked(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]
