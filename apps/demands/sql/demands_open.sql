-- What suppliers may be asked for: the open needs, and how much of each remains (asked for, not held and not accepted).
-- Where nobody knows the quantity, a trial lot counts. Holds are committed through this view (decision 0017): it must
-- stay updatable, so it reads the item in a subquery instead of a join.
CREATE VIEW demands_open AS
SELECT
    demand.id,
    demand.match_requested_at AS requested_at,
    coalesce(demand.quantity, (SELECT item.trial_lot FROM catalogue_item item WHERE item.id = demand.item_id))
        - demand.quantity_held - demand.quantity_matched AS remaining,
    demand.quantity_held,
    demand.updated_at
FROM demands_demand demand
WHERE demand.state = 'open';
