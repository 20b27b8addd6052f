"""What must hold in the database whatever happened, asked in SQL, so that no code of ours vouches for itself."""

from django.db import connection

# Each finds the rows that break a promise.
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
    "nobody is told the same thing twice": """
        SELECT min(id) FROM notifications_message GROUP BY key, channel, address HAVING count(*) > 1""",
}

UNTOLD = """
        SELECT m.id FROM matching_match m JOIN supply_offer o ON o.id = m.offer_id
        WHERE m.state <> 'standby'
          AND EXISTS (SELECT 1 FROM accounts_membership s WHERE s.organisation_id = o.organisation_id
                      AND s.role <> 'viewer')
          AND NOT EXISTS (SELECT 1 FROM notifications_message n WHERE n.key = 'match.proposed:' || m.id)
          AND m.respond_by IS NOT NULL"""


def broken_invariants() -> dict[str, list[int]]:
    """The promises that do not hold, with the ids of the rows that break them. Empty when all is well."""
    broken = {}
    with connection.cursor() as cursor:
        for promise, query in INVARIANTS.items():
            cursor.execute(query)
            if rows := [row[0] for row in cursor.fetchall()]:
                broken[promise] = rows
    return broken


def untold_matches() -> list[int]:
    """Matches whose supplier has people and was asked, and was never told so."""
    with connection.cursor() as cursor:
        cursor.execute(UNTOLD)
        return [row[0] for row in cursor.fetchall()]
