-- The open needs, and how much of each suppliers may still be asked for. A row is a need:
--
-- id             primary key of the demand
-- requested_at   when matching was last asked for; null once it has been done
-- remaining      base units that are asked for, not held and not accepted
-- quantity_held  base units that suppliers were asked for and have not answered
-- updated_at     the time of the last change, which partners pull by
--
-- Where nobody knows the quantity, the trial quantity counts, or a trial lot of the item. The functions in
-- matching/holds commit holds through this view, and matching/loading.py reads it
-- (docs/decisions/0017-a-plan-is-one-call.md). So the rule for what remains stands once, in the app that owns it. The
-- view must stay updatable, so it reads the item in a subquery, not a join.
CREATE VIEW demands_open AS
SELECT
    demand.id,
    demand.match_requested_at AS requested_at,
    coalesce(
        demand.quantity,
        demand.trial_quantity,
        (SELECT item.trial_lot FROM catalogue_item item WHERE item.id = demand.item_id)
    )
        - demand.quantity_held - demand.quantity_matched AS remaining,
    demand.quantity_held,
    demand.updated_at
FROM demands_demand demand
WHERE demand.state = 'open';
